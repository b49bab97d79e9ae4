// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug`: each outcome of a removal.

use crate::{
    program::{RunningProgram, papr_unplug},
    server::Server,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;
use std::{fs::File, io::Read as _, sync::mpsc};

/// Answer to `query-device-unplug-requests` before the second request for `dimm1`.
fn first_is_pending() -> Value {
    json!({
        "offered": ["cpu", "memory"], "armed": ["cpu", "memory"], "last-request": 6,
        "requests": [{ "request": 6, "device": "dimm1", "path": "/machine/peripheral/dimm1", "class": "memory",
            "promised": false, "started": false, "hint": false }]
    })
}

fn ours_asked(part: impl FnOnce(&mut crate::server::Connection) + Send + 'static) -> Server {
    Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &first_is_pending());
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.answers("device_del", &json!({ "request": 7 }));
        part(&mut vm);
    })
}

#[test]
fn refusal_from_stock_qemu_has_no_reason() {
    let server = Server::stock_asked(|vm| {
        vm.emits("MEM_UNPLUG_ERROR", &json!({ "device": "dimm1", "msg": "Memory hotunplug rejected by the guest" }));
        for _ in 0..2 {
            vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        }
    });
    papr_unplug(&server, &["unplug", "dimm1"])
        .code(3)
        .stdout_eq(str![[r#"
dimm1: refused; this VM gives no reason
  what to do: look at the guest's kernel log

"#]])
        .stderr_eq(str![[r#"
papr-unplug: this VM's QEMU gives no reason for a refusal, and a guest may refuse silently; waiting until there is an answer

"#]]);
    server.finish();
}

#[test]
fn reported_refusal_is_printed_with_its_reason_and_only_for_this_request() {
    let server = ours_asked(|vm| {
        vm.emits(
            "DEVICE_UNPLUG_GUEST_ERROR",
            &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": 6, "reason": "unattributed",
                "reason-code": 0, "source": "inferred" }),
        );
        let mut pending = first_is_pending();
        pending["requests"][0]["request"] = json!(7);
        pending["requests"][0]["promised"] = json!(true);
        vm.answers("query-device-unplug-requests", &pending);
        vm.emits(
            "DEVICE_UNPLUG_GUEST_ERROR",
            &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": 7, "reason": "unmovable-page",
                "reason-code": 6, "errno": 16, "drc": 0x8000_0009u32, "address": 0x9000_0000u32,
                "source": "reported-by-token" }),
        );
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(3).stderr_eq("").stdout_eq(str![[r#"
dimm1: refused: unmovable-page, errno 16 (Device or resource busy), DRC 0x80000009, guest address 0x90000000, reported
  meaning: A page in the memory block cannot be moved away.
  what to do: Online hot-added memory as movable (auto_online_blocks=online_movable), or retry when whoever pins the page has gone.

"#]]);
    server.finish();
}

/// QEMU with the patches also runs machines without unplug requests.
#[test]
fn machine_without_requests_is_handled_like_stock_qemu() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.refuses("query-device-unplug-requests", "GenericError", "this machine does not track unplug requests");
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.answers("device_del", &json!({}));
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1" }));
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(3);
    server.finish();
}

#[test]
fn outcome_of_another_device_is_not_waited_for() {
    let server = Server::stock_asked(|vm| {
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm2", "path": "/machine/peripheral/dimm2" }));
        vm.emits("DEVICE_DELETED", &json!({ "path": "/machine/peripheral/dimm1/part" }));
        vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(0).stdout_eq("dimm1: released\n");
    server.finish();
}

#[test]
fn device_is_found_by_its_path() {
    let server = Server::stock_asked(|vm| {
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
    });
    papr_unplug(&server, &["unplug", "/machine/peripheral/dimm1"]).code(3);
    server.finish();
}

#[test]
fn release_as_json_has_the_whole_event() {
    let server = ours_asked(|vm| {
        vm.emits(
            "DEVICE_DELETED",
            &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1",
            "requests": [7], "cause": "guest", "new-one": [1] }),
        );
    });
    papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(0).stderr_eq("").stdout_eq(str![[r#"
{"time":"2026-09-21T14:13:20.000042Z","outcome":"released","device":"dimm1","path":"/machine/peripheral/dimm1","requests":[7],"event":{"data":{"cause":"guest","device":"dimm1","new-one":[1],"path":"/machine/peripheral/dimm1","requests":[7]},"event":"DEVICE_DELETED","timestamp":{"microseconds":42,"seconds":1790000000}}}

"#]]);
    server.finish();
}

#[test]
fn rejected_request_is_printed_with_advice() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.refuses("device_del", "DeviceNotFound", "Device 'dimm1' not found");
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(6).stdout_eq(str![[r#"
dimm1: rejected by the VM: Device 'dimm1' not found (DeviceNotFound)
  what to do: name the id that the device was added with: -device and device_add take it as id=ID, and `virsh dumpxml` shows it as the alias

"#]]);
    server.finish();
}

#[test]
fn paused_vm_and_panicked_guest_are_noted_and_are_no_outcome() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "armed": ["memory"], "last-request": 0, "requests": [] }));
        vm.answers("query-status", &json!({ "status": "paused", "running": false }));
        vm.answers("device_del", &json!({}));
        vm.emits("RESUME", &json!({}));
        vm.emits("GUEST_PANICKED", &json!({ "action": "pause" }));
        vm.emits("SHUTDOWN", &json!({ "guest": false, "reason": "host-signal" }));
    });
    papr_unplug(&server, &["unplug", "dimm1"])
        .code(5)
        .stdout_eq(str![[r#"
dimm1: unknown: the connection to the VM is lost (the other side closed the connection)
  what to do: check whether the VM runs

"#]])
        .stderr_eq(str![[r#"
papr-unplug: the VM does not run (paused): the guest cannot answer until it does
papr-unplug: the VM runs again
papr-unplug: the guest has panicked: this is not a refusal, and the guest may never answer
papr-unplug: the VM is shutting down

"#]]);
    server.finish();
}

/// Reads from a terminal until the words appear.
fn shows(terminal: &mut File, words: &str) {
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains(words) {
        let mut bytes = [0; 1024];
        let length = terminal.read(&mut bytes).unwrap();
        shown.extend_from_slice(&bytes[..length]);
    }
}

#[test]
fn terminal_shows_the_state_of_the_request() {
    let (seen, is_seen) = mpsc::channel();
    let server = ours_asked(move |vm| {
        let mut pending = first_is_pending();
        pending["requests"].as_array_mut().unwrap().push(json!({
            "request": 7, "device": "dimm1", "class": "memory", "promised": true, "started": true, "hint": false
        }));
        while is_seen.try_recv().is_err() {
            vm.answers("query-device-unplug-requests", &pending);
        }
        vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1" }));
        vm.answers_all();
    });
    let (running, mut terminal) = RunningProgram::start_on_terminal(&server, &["unplug", "dimm1"]);
    shows(&mut terminal, "dimm1: the guest has begun, an answer is promised");
    seen.send(()).unwrap();
    assert_eq!(running.end(), (Some(0), "dimm1: released\n".to_owned()));
    server.finish();
}

#[test]
fn outcome_that_precedes_the_loss_of_the_connection_is_printed() {
    let server = ours_asked(|vm| {
        vm.expects("query-device-unplug-requests");
        vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1" }));
    });
    let (running, mut terminal) = RunningProgram::start_on_terminal(&server, &["unplug", "dimm1"]);
    shows(&mut terminal, "waiting for the guest");
    let (code, text) = running.end();
    assert_eq!(code, Some(8));
    assert!(text.starts_with("dimm1: deleted\n"), "{text}");
    server.finish();
}

#[test]
fn signal_leaves_the_request_pending_and_says_so() {
    let server = Server::stock_asked(|vm| vm.expects_no_more());
    let mut running = RunningProgram::start(&server, &["unplug", "dimm1"]);
    assert!(running.note().contains("waiting until there is an answer"));
    running.signal(Signal::INT);
    let (code, text) = running.end();
    assert_eq!(code, Some(130));
    assert!(text.starts_with("dimm1: still pending\n"), "{text}");
    server.finish();
}

#[test]
fn termination_has_its_own_status() {
    let server = Server::stock_asked(|vm| vm.expects_no_more());
    let mut running = RunningProgram::start(&server, &["unplug", "--json", "dimm1"]);
    running.note();
    running.signal(Signal::TERM);
    assert_eq!(running.end(), (Some(143), "{\"device\":\"dimm1\",\"outcome\":\"pending\"}\n".to_owned()));
    server.finish();
}

#[test]
fn status_is_the_outcome_also_when_output_is_closed() {
    let (hung_up, is_hung_up) = mpsc::channel();
    let server = Server::stock_asked(move |vm| {
        is_hung_up.recv().unwrap();
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1" }));
    });
    let mut running = RunningProgram::start(&server, &["unplug", "dimm1"]);
    running.hang_up();
    hung_up.send(()).unwrap();
    assert_eq!(running.end().0, Some(3));
    server.finish();
}

#[test]
fn connection_lost_after_the_request_leaves_the_outcome_unknown() {
    let lines: [&[u8]; 4] = [b"", b"{\"event\": \"DEVICE_DEL", b"surprise\n", b"[1]\n"];
    for last_words in lines {
        let server = Server::stock_asked(|vm| vm.sends_bytes(last_words));
        papr_unplug(&server, &["unplug", "dimm1"]).code(5);
        server.finish();
    }
}

#[test]
fn connection_lost_while_the_request_is_looked_up_leaves_the_outcome_unknown() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "armed": [], "last-request": 0, "requests": [] }));
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.answers("device_del", &json!({}));
        vm.expects("query-device-unplug-requests");
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(5);
    server.finish();
}

#[test]
fn line_without_an_end_takes_bounded_memory() {
    let server = Server::stock_asked(|vm| vm.sends_bytes(&vec![b'x'; 64 << 20]));
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(5);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["error"], "the other side sent a line of more than 8388608 bytes");
    server.finish();
}

#[test]
fn signal_before_the_request_leaves_nothing_pending() {
    let (asked, is_asked) = mpsc::channel();
    let server = Server::play(move |mut vm| {
        vm.greet();
        vm.expects("query-device-unplug-requests");
        asked.send(()).unwrap();
        vm.expects_no_more();
    });
    let running = RunningProgram::start(&server, &["unplug", "dimm1"]);
    is_asked.recv().unwrap();
    running.signal(Signal::INT);
    assert_eq!(running.end(), (Some(130), "dimm1: not asked for: interrupted by signal 2\n".to_owned()));
    server.finish();
}

#[test]
fn signal_before_the_vm_has_answered_leaves_it_open_whether_a_request_is_pending() {
    let (asked, is_asked) = mpsc::channel();
    let server = Server::play(move |mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.expects("device_del");
        asked.send(()).unwrap();
        vm.expects_no_more();
    });
    let running = RunningProgram::start(&server, &["unplug", "dimm1"]);
    is_asked.recv().unwrap();
    running.signal(Signal::INT);
    let (code, text) = running.end();
    assert_eq!(code, Some(130));
    assert!(text.starts_with("dimm1: unknown: the VM had not accepted or rejected the request yet\n"), "{text}");
    server.finish();
}
