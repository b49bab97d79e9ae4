// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug`: each way in which a removal can end.

use crate::{
    program::{Running, papr_unplug},
    server::Server,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;
use std::{fs::File, io::Read as _, sync::mpsc};

/// What `query-device-unplug-requests` answers before anybody asked for `dimm1` the second time.
fn first_is_pending() -> Value {
    json!({
        "offered": ["cpu", "memory"], "armed": ["cpu", "memory"], "last-request": 6,
        "requests": [{ "request": 6, "device": "dimm1", "path": "/machine/peripheral/dimm1", "class": "memory",
            "promised": false, "started": false, "hint": false }]
    })
}

fn ours_asked(part: impl FnOnce(&mut crate::server::Talk) + Send + 'static) -> Server {
    Server::play(|mut talk| {
        talk.greet();
        talk.answers("query-device-unplug-requests", &first_is_pending());
        talk.answers("query-status", &json!({ "status": "running", "running": true }));
        talk.answers("device_del", &json!({}));
        part(&mut talk);
    })
}

#[test]
fn refusal_from_stock_qemu_is_told_without_a_reason() {
    let server = Server::stock_asked(|talk| {
        talk.tell("MEM_UNPLUG_ERROR", &json!({ "device": "dimm1", "msg": "Memory hotunplug rejected by the guest" }));
        for _ in 0..2 {
            talk.tell("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        }
    });
    papr_unplug(&server, &["unplug", "dimm1"])
        .code(3)
        .stdout_eq(str![[r#"
dimm1: refused; this VM does not tell why
  what to do: look at the guest's kernel log

"#]])
        .stderr_eq(str![[r#"
papr-unplug: this VM's QEMU does not tell why a guest refuses, and the guest may refuse without telling anybody; waiting as long as you do

"#]]);
    server.finish();
}

#[test]
fn refusal_that_is_reported_is_told_with_its_reason_and_only_for_this_request() {
    let server = ours_asked(|talk| {
        talk.tell(
            "DEVICE_UNPLUG_GUEST_ERROR",
            &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": 6, "reason": "unattributed",
                "reason-code": 0, "source": "inferred" }),
        );
        talk.tell(
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

/// A QEMU that speaks the protocol also runs machines that do not.
#[test]
fn machine_that_does_not_track_requests_is_as_a_stock_one() {
    let server = Server::play(|mut talk| {
        talk.greet();
        talk.refuses("query-device-unplug-requests", "GenericError", "this machine does not track unplug requests");
        talk.answers("query-status", &json!({ "status": "running", "running": true }));
        talk.answers("device_del", &json!({}));
        talk.tell("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1" }));
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(3);
    server.finish();
}

#[test]
fn outcome_of_another_device_is_not_waited_for() {
    let server = Server::stock_asked(|talk| {
        talk.tell("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm2", "path": "/machine/peripheral/dimm2" }));
        talk.tell("DEVICE_DELETED", &json!({ "path": "/machine/peripheral/dimm1/part" }));
        talk.tell("DEVICE_DELETED", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        talk.answers("query-status", &json!({ "status": "running", "running": true }));
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(0).stdout_eq("dimm1: released\n");
    server.finish();
}

#[test]
fn device_is_found_by_its_path() {
    let server = Server::stock_asked(|talk| {
        talk.tell("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
    });
    papr_unplug(&server, &["unplug", "/machine/peripheral/dimm1"]).code(3);
    server.finish();
}

#[test]
fn release_is_told_to_programs_with_the_whole_event() {
    let server = ours_asked(|talk| {
        talk.tell(
            "DEVICE_DELETED",
            &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1",
            "new-one": [1] }),
        );
    });
    papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(0).stderr_eq("").stdout_eq(str![[r#"
{"time":"2026-09-21T14:13:20.000042Z","outcome":"released","device":"dimm1","path":"/machine/peripheral/dimm1","event":{"data":{"device":"dimm1","new-one":[1],"path":"/machine/peripheral/dimm1"},"event":"DEVICE_DELETED","timestamp":{"microseconds":42,"seconds":1790000000}}}

"#]]);
    server.finish();
}

#[test]
fn deletion_that_comes_with_a_reset_is_not_the_guests_consent() {
    let server = Server::stock_asked(|talk| {
        talk.tell("DEVICE_DELETED", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        talk.tell("RESET", &json!({ "guest": false, "reason": "host-qmp-system-reset" }));
        talk.answers("query-status", &json!({ "status": "running", "running": true }));
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(4).stdout_eq(str![[r#"
dimm1: closed by reset
  meaning: the machine was reset before the guest had given the device back

"#]]);
    server.finish();
}

#[test]
fn request_that_the_vm_does_not_take_is_told_with_what_can_be_done() {
    let server = Server::play(|mut talk| {
        talk.greet();
        talk.knows_no("query-device-unplug-requests");
        talk.answers("query-status", &json!({ "status": "running", "running": true }));
        talk.refuses("device_del", "DeviceNotFound", "Device 'dimm1' not found");
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(6).stdout_eq(str![[r#"
dimm1: not asked for: Device 'dimm1' not found (DeviceNotFound)
  what to do: name the id that the device was added with; -device and device_add take it as id=ID

"#]]);
    server.finish();
}

#[test]
fn paused_vm_and_panicked_guest_are_remarked_upon_and_are_no_outcome() {
    let server = Server::play(|mut talk| {
        talk.greet();
        talk.answers(
            "query-device-unplug-requests",
            &json!({ "armed": ["memory"], "last-request": 0, "requests": [] }),
        );
        talk.answers("query-status", &json!({ "status": "paused", "running": false }));
        talk.answers("device_del", &json!({}));
        talk.tell("RESUME", &json!({}));
        talk.tell("GUEST_PANICKED", &json!({ "action": "pause" }));
        talk.tell("SHUTDOWN", &json!({ "guest": false, "reason": "host-signal" }));
    });
    papr_unplug(&server, &["unplug", "dimm1"])
        .code(5)
        .stdout_eq(str![[r#"
dimm1: unknown: the connection to the VM is lost (the other side closed the connection)
  what to do: see whether the VM runs

"#]])
        .stderr_eq(str![[r#"
papr-unplug: the VM does not run (paused): its guest cannot answer until it does
papr-unplug: the VM runs again
papr-unplug: the guest has panicked: that is no refusal; whether an answer comes is unknown
papr-unplug: the VM shuts down

"#]]);
    server.finish();
}

/// Reads a terminal until it has shown these words.
fn shows(terminal: &mut File, words: &str) {
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains(words) {
        let mut bytes = [0; 1024];
        let length = terminal.read(&mut bytes).unwrap();
        shown.extend_from_slice(&bytes[..length]);
    }
}

#[test]
fn terminal_shows_how_far_the_guest_is() {
    let (seen, is_seen) = mpsc::channel();
    let server = ours_asked(move |talk| {
        let mut pending = first_is_pending();
        pending["requests"].as_array_mut().unwrap().push(json!({
            "request": 7, "device": "dimm1", "class": "memory", "promised": true, "started": true, "hint": false
        }));
        while is_seen.try_recv().is_err() {
            talk.answers("query-device-unplug-requests", &pending);
        }
        talk.tell("DEVICE_DELETED", &json!({ "device": "dimm1" }));
        talk.obeys();
    });
    let (running, mut terminal) = Running::start_on_terminal(&server, &["unplug", "dimm1"]);
    shows(&mut terminal, "dimm1: the guest has begun, an answer is promised");
    seen.send(()).unwrap();
    assert_eq!(running.end(), (Some(0), "dimm1: released\n".to_owned()));
    server.finish();
}

#[test]
fn outcome_that_came_before_the_connection_was_lost_is_told() {
    let server = ours_asked(|talk| {
        talk.expects("query-device-unplug-requests");
        talk.tell("DEVICE_DELETED", &json!({ "device": "dimm1" }));
    });
    let (running, mut terminal) = Running::start_on_terminal(&server, &["unplug", "dimm1"]);
    shows(&mut terminal, "waiting for the guest");
    assert_eq!(running.end(), (Some(0), "dimm1: released\n".to_owned()));
    server.finish();
}

#[test]
fn interruption_leaves_the_request_pending_and_says_so() {
    let server = Server::stock_asked(|talk| talk.expects_no_more());
    let mut running = Running::start(&server, &["unplug", "dimm1"]);
    assert!(running.note().contains("waiting as long as you do"));
    running.signal(Signal::INT);
    let (code, text) = running.end();
    assert_eq!(code, Some(130));
    assert!(text.starts_with("dimm1: still pending; "), "{text}");
    server.finish();
}

#[test]
fn termination_is_told_by_its_own_status() {
    let server = Server::stock_asked(|talk| talk.expects_no_more());
    let mut running = Running::start(&server, &["unplug", "--json", "dimm1"]);
    running.note();
    running.signal(Signal::TERM);
    assert_eq!(running.end(), (Some(143), "{\"device\":\"dimm1\",\"outcome\":\"pending\"}\n".to_owned()));
    server.finish();
}

#[test]
fn status_tells_the_outcome_also_when_nobody_reads_it() {
    let (hung_up, is_hung_up) = mpsc::channel();
    let server = Server::stock_asked(move |talk| {
        is_hung_up.recv().unwrap();
        talk.tell("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1" }));
    });
    let mut running = Running::start(&server, &["unplug", "dimm1"]);
    running.hang_up();
    hung_up.send(()).unwrap();
    assert_eq!(running.end().0, Some(3));
    server.finish();
}

#[test]
fn connection_that_is_lost_after_asking_leaves_the_outcome_unknown() {
    let lines: [&[u8]; 4] = [b"", b"{\"event\": \"DEVICE_DEL", b"surprise\n", b"[1]\n"];
    for last_words in lines {
        let server = Server::stock_asked(|talk| talk.say_bytes(last_words));
        papr_unplug(&server, &["unplug", "dimm1"]).code(5);
        server.finish();
    }
}

#[test]
fn line_without_an_end_is_not_taken_into_memory() {
    let server = Server::stock_asked(|talk| talk.say_bytes(&vec![b'x'; 64 << 20]));
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(5);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["error"], "the other side sent a line of more than 8388608 bytes");
    server.finish();
}
