// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connection and greeting.

use crate::{
    program::{RunningProgram, papr_unplug},
    server::{GREETING, Server},
};
use rustix::process::Signal;
use serde_json::json;
use snapbox::{cmd::Command, str};
use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, net::UnixListener},
};

#[test]
fn socket_that_another_program_holds_is_waited_for_with_a_note() {
    let server = Server::play(|mut vm| vm.expects_no_more());
    let mut running = RunningProgram::start(&server, &["unplug", "dimm1"]);
    assert!(running.note().contains("another program, such as libvirt, may hold it"));
    running.signal(Signal::INT);
    assert_eq!(running.end(), (Some(130), "dimm1: not asked for: interrupted by signal 2\n".to_owned()));
    server.finish();
}

#[test]
fn server_that_closes_without_a_greeting_is_an_error() {
    let server = Server::play(drop);
    papr_unplug(&server, &["list"]).code(1).stderr_eq(str![[r#"
papr-unplug: [..]/qmp does not greet like a QMP monitor: name a socket that QEMU opened with -qmp
  because: the other side closed the connection

"#]]);
    server.finish();
}

#[test]
fn human_monitor_is_recognized() {
    let server = Server::play(|mut vm| vm.sends("QEMU 11.1.3 monitor - type 'help' for more information"));
    papr_unplug(&server, &["list"]).code(1).stderr_eq(str![[r#"
papr-unplug: [..]/qmp does not greet like a QMP monitor: this is QEMU's human monitor (HMP); name a socket that was opened with -qmp instead
  because: not a QMP message: "QEMU 11.1.3 monitor - type 'help' for more information"

"#]]);
    server.finish();
}

#[test]
fn lines_in_pieces_are_reassembled() {
    let server = Server::play(|mut vm| {
        for piece in GREETING.as_bytes().chunks(7) {
            vm.sends_bytes(piece);
        }
        vm.sends_bytes(b"\r");
        vm.sends_bytes(b"\n");
        vm.answers("qmp_capabilities", &json!({}));
        vm.answers("query-device-unplug-requests", &json!({ "armed": [], "requests": [] }));
    });
    papr_unplug(&server, &["list"]).code(0);
    server.finish();
}

#[test]
fn socket_without_a_vm_is_an_error_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let list = |name: &str| {
        let path = directory.path().join(name);
        Command::new(env!("CARGO_BIN_EXE_papr-unplug")).args(["list", "--qmp"]).arg(path).assert().code(1)
    };
    drop(UnixListener::bind(directory.path().join("left-behind")).unwrap());
    list("left-behind").stderr_eq(str![[r#"
papr-unplug: cannot connect to [..]/left-behind: no VM listens there; it may have ended
  because: Connection refused (os error 111)

"#]]);
    list("none").stderr_eq(str![[r#"
papr-unplug: cannot connect to [..]/none: there is no such socket; QEMU creates one with -qmp unix:PATH,server=on,wait=off
  because: No such file or directory (os error 2)

"#]]);
}

#[test]
fn socket_whose_path_is_not_utf_8_is_opened() {
    let server = Server::play_at(OsStr::from_bytes(b"\xff.qmp"), |mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "armed": [], "requests": [] }));
    });
    papr_unplug(&server, &["list"]).code(0);
    server.finish();
}

#[test]
fn control_characters_of_a_vm_do_not_reach_the_terminal() {
    let server = Server::play(|mut vm| {
        vm.greet();
        let name = "\u{202e}\u{2066}\u{1b}x";
        vm.answers("query-device-unplug-requests", &json!({ "requests": [{ "device": name }], "name": name }));
    });
    let output = papr_unplug(&server, &["list"]).code(0);
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.contains(r"\u{202e}\u{2066}\u{1b}x"), "{text}");
    server.finish();

    let name = "\u{202e}\u{9b}";
    let server = Server::play(move |mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "requests": [], "name": name }));
    });
    let output = papr_unplug(&server, &["list", "--json"]).code(0);
    assert_eq!(
        output.get_output().stdout,
        br#"{"name":"\u202e\u009b","requests":[]}"#.iter().chain(b"\n").copied().collect::<Vec<_>>()
    );
    server.finish();
}
