// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug` and resets: who took a deleted device.

use crate::{
    program::papr_unplug,
    server::{Connection, Server},
};
use serde_json::json;
use snapbox::str;

fn is_deleted(vm: &mut Connection) {
    vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
}

fn is_reset(vm: &mut Connection) {
    vm.emits("RESET", &json!({ "guest": false, "reason": "host-qmp-system-reset" }));
}

/// Answers the command by which the program learns what was sent before the answer.
fn answers_status(vm: &mut Connection) {
    vm.answers("query-status", &json!({ "status": "running", "running": true }));
}

/// Stock QEMU deletes a PCI device or a PHB after `RESET`, because the deletion waits for an RCU grace period.
#[test]
fn deletion_after_a_reset_on_stock_qemu_is_no_release() {
    let server = Server::stock_asked(|vm| {
        is_reset(vm);
        is_deleted(vm);
        answers_status(vm);
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(8).stdout_eq(str![[r#"
dimm1: deleted
  meaning: the device is gone; this VM does not say whether the guest gave it back or a reset took it

"#]]);
    server.finish();
}

/// The guest may have given the device back before an unrelated reset.
#[test]
fn deletion_before_a_reset_on_stock_qemu_is_not_blamed_on_the_reset() {
    let server = Server::stock_asked(|vm| {
        is_deleted(vm);
        is_reset(vm);
        answers_status(vm);
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(8);
    server.finish();
}

#[test]
fn deletion_in_a_reset_of_a_vm_that_did_not_run_is_the_reset() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
        vm.answers("query-status", &json!({ "status": "prelaunch", "running": false }));
        vm.answers("device_del", &json!({}));
        is_deleted(&mut vm);
        is_reset(&mut vm);
        answers_status(&mut vm);
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(4).stdout_eq(str![[r#"
dimm1: closed by reset
  meaning: the machine was reset before the guest had given the device back

"#]]);
    server.finish();
}

#[test]
fn deletion_that_names_its_cause_needs_no_inference() {
    let cases = [("guest", 0, "released"), ("reset", 4, "closed by reset"), ("cas", 4, "closed by CAS")];
    for (cause, code, words) in cases {
        let server = Server::stock_asked(move |vm| {
            is_reset(vm);
            vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1", "requests": [7], "cause": cause }));
            is_reset(vm);
            vm.answers_all();
        });
        let output = papr_unplug(&server, &["unplug", "dimm1"]).code(code);
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        assert!(text.starts_with(&format!("dimm1: {words}\n")), "{text}");
        server.finish();
    }
}

#[test]
fn deletion_before_the_connection_was_lost_is_no_release() {
    let server = Server::stock_asked(|vm| {
        is_deleted(vm);
        vm.expects("query-status");
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(8);
    server.finish();
}
