// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be wrong with a socket before anything is asked.

use crate::{
    program::{Running, papr_unplug},
    server::{GREETING, Server},
};
use rustix::process::Signal;
use serde_json::json;
use snapbox::{cmd::Command, str};
use std::os::unix::net::UnixListener;

#[test]
fn socket_that_another_program_holds_is_waited_for_and_the_user_is_told() {
    let server = Server::play(|mut talk| talk.expects_no_more());
    let mut running = Running::start(&server, &["unplug", "dimm1"]);
    assert!(running.note().contains("another one, such as libvirt, may hold it"));
    running.signal(Signal::INT);
    assert_eq!(running.end(), (Some(130), String::new()));
    server.finish();
}

#[test]
fn server_that_closes_without_a_greeting_is_no_qmp() {
    let server = Server::play(drop);
    papr_unplug(&server, &["list"]).code(1).stderr_eq(str![[r#"
papr-unplug: [..]/qmp does not greet like a QMP monitor: name a socket that QEMU opened with -qmp
  because: the other side closed the connection

"#]]);
    server.finish();
}

#[test]
fn monitor_for_people_is_told_apart() {
    let server = Server::play(|mut talk| talk.say("QEMU 11.1.3 monitor - type 'help' for more information"));
    papr_unplug(&server, &["list"]).code(1).stderr_eq(str![[r#"
papr-unplug: [..]/qmp does not greet like a QMP monitor: this is QEMU's monitor for people; name a socket that was opened with -qmp instead
  because: this is no QMP: "QEMU 11.1.3 monitor - type 'help' for more information"

"#]]);
    server.finish();
}

#[test]
fn lines_in_pieces_are_put_together() {
    let server = Server::play(|mut talk| {
        for piece in GREETING.as_bytes().chunks(7) {
            talk.say_bytes(piece);
        }
        talk.say_bytes(b"\r");
        talk.say_bytes(b"\n");
        talk.answers("qmp_capabilities", &json!({}));
        talk.answers("query-device-unplug-requests", &json!({ "armed": [], "requests": [] }));
    });
    papr_unplug(&server, &["list"]).code(0);
    server.finish();
}

#[test]
fn socket_without_a_vm_is_told_with_what_can_be_done() {
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
papr-unplug: cannot connect to [..]/none: there is no such socket; QEMU makes one with -qmp unix:PATH,server=on,wait=off
  because: No such file or directory (os error 2)

"#]]);
}
