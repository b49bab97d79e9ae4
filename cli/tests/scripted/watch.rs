// SPDX-License-Identifier: MIT OR Apache-2.0

//! `watch`: one line for each outcome.

use crate::{
    program::{RunningProgram, papr_unplug},
    server::{Connection, Server},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;
use std::sync::mpsc;

fn ours(part: impl FnOnce(&mut Connection) + Send + 'static) -> Server {
    Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "armed": ["cpu"], "last-request": 0, "requests": [] }));
        part(&mut vm);
    })
}

fn emit_three(vm: &mut Connection) {
    vm.emits("RTC_CHANGE", &json!({ "offset": 0 }));
    vm.emits(
        "DEVICE_UNPLUG_GUEST_ERROR",
        &json!({ "device": "cpu1", "request": 1, "reason-code": 1, "errno": 16,
        "drc": 0x1000_0001, "source": "reported-by-token" }),
    );
    vm.emits("DEVICE_DELETED", &json!({ "path": "/machine/peripheral/cpu1/thread[0]" }));
    vm.emits("DEVICE_DELETED", &json!({ "device": "cpu1" }));
    vm.answers("query-status", &json!({ "status": "running", "running": true }));
    vm.emits("DEVICE_DELETED", &json!({ "device": "cpu2" }));
    vm.emits("RESET", &json!({ "guest": true, "reason": "guest-reset" }));
    vm.answers("query-status", &json!({ "status": "running", "running": true }));
}

#[test]
fn each_outcome_is_a_line() {
    let server = ours(|vm| {
        emit_three(vm);
        vm.emits("SHUTDOWN", &json!({ "guest": true, "reason": "guest-shutdown" }));
    });
    papr_unplug(&server, &["watch"]).code(0).stderr_eq("papr-unplug: following the VM\n").stdout_eq(str![[r#"
2026-09-21T14:13:20.000042Z cpu1 request 1 refused: last-cpu, errno 16 (Device or resource busy), DRC 0x10000001, reported
2026-09-21T14:13:20.000042Z cpu1 released
2026-09-21T14:13:20.000042Z cpu2 deleted

"#]]);
    server.finish();
}

#[test]
fn each_outcome_is_an_object() {
    let server = ours(emit_three);
    let output = papr_unplug(&server, &["watch", "--json"]).code(5);
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<&Value> = objects.iter().map(|object| &object["outcome"]).collect();
    assert_eq!(outcomes, ["refused", "released", "deleted"]);
    assert_eq!(objects[0]["reason"], "last-cpu");
    assert_eq!(objects[0]["advice"], "Bring another CPU online in the guest, or choose another CPU.");
    server.finish();
}

#[test]
fn vm_that_closes_the_connection_without_shutdown_is_an_error() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
    });
    papr_unplug(&server, &["watch"]).code(5).stdout_eq("").stderr_eq(str![[r#"
papr-unplug: following the VM. Its QEMU gives no reason for a refusal and does not name the request; it may report one refusal twice, and others not at all
papr-unplug: the VM is gone: the other side closed the connection

"#]]);
    server.finish();
}

#[test]
fn signal_ends_it() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
        vm.expects_no_more();
    });
    let mut running = RunningProgram::start(&server, &["watch"]);
    running.note();
    running.signal(Signal::INT);
    assert_eq!(running.end(), (Some(130), String::new()));
    server.finish();
}

#[test]
fn closed_output_ends_it() {
    let (hung_up, is_hung_up) = mpsc::channel();
    let server = Server::play(move |mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
        is_hung_up.recv().unwrap();
        vm.emits("DEVICE_DELETED", &json!({ "device": "cpu1" }));
        vm.answers("query-status", &json!({}));
        vm.expects_no_more();
    });
    let mut running = RunningProgram::start(&server, &["watch"]);
    running.hang_up();
    hung_up.send(()).unwrap();
    assert_eq!(running.end(), (Some(0), String::new()));
    server.finish();
}
