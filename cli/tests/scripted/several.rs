// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug` of several devices, and waits that the user limits.

use crate::{
    program::{RunningProgram, papr_unplug},
    server::{Connection, Server},
};
use rustix::process::Signal;
use serde_json::json;
use snapbox::str;

/// Plays a QEMU that numbers requests, up to the first `device_del`.
fn ours(script: impl FnOnce(&mut Connection) + Send + 'static) -> Server {
    Server::play(|mut vm| {
        vm.greet();
        vm.answers(
            "query-device-unplug-requests",
            &json!({ "armed": ["cpu"], "last-request": 0, "requests": [], "outcomes": [] }),
        );
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        script(&mut vm);
    })
}

fn is_released(vm: &mut Connection, device: &str, request: u64) {
    vm.emits("DEVICE_DELETED", &json!({ "device": device, "requests": [request], "cause": "guest" }));
}

#[test]
fn several_devices_are_asked_for_and_printed_as_they_end() {
    let server = ours(|vm| {
        vm.answers("device_del", &json!({ "request": 1 }));
        vm.refuses("device_del", "DeviceNotFound", "Device 'cpu2' not found");
        vm.answers("device_del", &json!({ "request": 2 }));
        is_released(vm, "cpu3", 2);
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "cpu1", "request": 1, "reason": "last-cpu" }));
    });
    papr_unplug(&server, &["unplug", "cpu1", "cpu2", "cpu3"]).code(3).stdout_eq(str![[r#"
cpu2: rejected by the VM: Device 'cpu2' not found (DeviceNotFound)
  what to do: name the id that the device was added with: -device and device_add take it as id=ID, and `virsh dumpxml` shows it as the alias
cpu3: released
cpu1: refused: last-cpu
  meaning: It is the last online CPU of the guest.
  what to do: Bring another CPU online in the guest, or choose another CPU.

"#]]);
    server.finish();
}

#[test]
fn connection_lost_while_one_outcome_is_judged_ends_the_wait_for_the_others() {
    let server = Server::stock_asked(|vm| {
        vm.answers("device_del", &json!({}));
        vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        vm.expects("query-status");
    });
    papr_unplug(&server, &["unplug", "dimm1", "dimm2"]).code(8).stdout_eq(str![[r#"
dimm1: deleted
  meaning: the device is gone; this VM does not say whether the guest gave it back or a reset took it
dimm2: unknown: the connection to the VM is lost (the other side closed the connection)
  what to do: check whether the VM runs

"#]]);
    server.finish();
}

#[test]
fn signal_ends_the_wait_for_each_device_without_an_outcome() {
    let server = Server::stock_asked(|vm| {
        vm.answers("device_del", &json!({}));
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1" }));
        vm.expects_no_more();
    });
    let mut running = RunningProgram::start(&server, &["unplug", "--json", "dimm1", "dimm2"]);
    assert!(running.line().contains(r#""outcome":"refused""#));
    running.signal(Signal::INT);
    assert_eq!(running.end(), (Some(3), "{\"device\":\"dimm2\",\"outcome\":\"pending\"}\n".to_owned()));
    server.finish();
}

#[test]
fn device_removed_by_the_vm_with_its_bus_is_no_release() {
    let server = ours(|vm| {
        vm.answers("device_del", &json!({ "request": 1 }));
        vm.emits("DEVICE_DELETED", &json!({ "device": "nic1", "requests": [1], "cause": "vmm" }));
    });
    papr_unplug(&server, &["unplug", "nic1"]).code(8).stdout_eq(str![[r#"
nic1: removed by the VM
  meaning: the device is gone, because the bus that it was on is gone

"#]]);
    server.finish();
}

#[test]
fn timeout_leaves_the_request_pending_and_has_its_own_status() {
    let server = ours(|vm| {
        vm.answers("device_del", &json!({ "request": 1 }));
        vm.expects_no_more();
    });
    papr_unplug(&server, &["unplug", "--timeout", "2s", "cpu1"]).code(124).stdout_eq(str![[r#"
cpu1: still pending, request 1
  what to do: `papr-unplug wait 1` waits for its outcome; `papr-unplug list` shows its state; `papr-unplug withdraw 1` ends it

"#]]);
    server.finish();
}

#[test]
fn request_without_a_wait_is_printed_with_its_number() {
    let server = ours(|vm| {
        vm.answers("device_del", &json!({ "request": 1 }));
        vm.expects_no_more();
    });
    let output = papr_unplug(&server, &["unplug", "--no-wait", "--json", "cpu1"]).code(0);
    assert_eq!(output.get_output().stdout, b"{\"device\":\"cpu1\",\"outcome\":\"pending\",\"request\":1}\n");
    server.finish();
}

#[test]
fn timeout_ends_the_wait_for_a_vm_that_does_not_greet_or_does_not_answer() {
    let server = Server::play(|mut vm| vm.expects_no_more());
    papr_unplug(&server, &["unplug", "--timeout", "100ms", "cpu1"])
        .code(124)
        .stdout_eq("cpu1: not asked for: the time of --timeout is over\n")
        .stderr_eq("");
    server.finish();

    let server = ours(|vm| {
        vm.expects("device_del");
        vm.expects_no_more();
    });
    papr_unplug(&server, &["unplug", "--timeout", "2s", "cpu1"]).code(124).stdout_eq(str![[r#"
cpu1: unknown: the VM had not accepted or rejected the request yet
  what to do: `papr-unplug watch` shows the outcome, if there is one; asking again does no harm

"#]]);
    server.finish();
}
