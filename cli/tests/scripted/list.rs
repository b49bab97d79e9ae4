// SPDX-License-Identifier: MIT OR Apache-2.0

//! `list`: pending requests.

use crate::{program::papr_unplug, server::Server};
use serde_json::json;
use snapbox::str;

#[test]
fn stock_qemu_has_no_list() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
    });
    papr_unplug(&server, &["list"]).code(7).stdout_eq("").stderr_eq(str![[r#"
papr-unplug: this VM's QEMU does not list pending removals or promises: it has no query-device-unplug-requests

"#]]);
    server.finish();
}

#[test]
fn pending_requests_are_listed() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.answers(
            "query-device-unplug-requests",
            &json!({ "armed": ["cpu"], "requests": [{ "request": 3, "device": "cpu1", "class": "cpu", "started": true }] }),
        );
    });
    papr_unplug(&server, &["list"]).code(0).stderr_eq("").stdout_eq(str![[r#"
the guest has promised to answer every request for: cpu
REQUEST  DEVICE  CLASS   STATE
3        cpu1    cpu     the guest has begun

"#]]);
    server.finish();
}

#[test]
fn json_has_all_members_of_the_answer() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "requests": [], "__com.example_new": { "x": 1 } }));
    });
    papr_unplug(&server, &["list", "--json"]).code(0).stdout_eq("{\"__com.example_new\":{\"x\":1},\"requests\":[]}\n");
    server.finish();
}

#[test]
fn machine_that_does_not_track_requests_says_so() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.refuses("query-device-unplug-requests", "GenericError", "this machine does not track requests");
    });
    papr_unplug(&server, &["list"]).code(7).stdout_eq("").stderr_eq(str![[r#"
papr-unplug: this VM's QEMU does not list pending removals or promises: this machine does not track requests (GenericError)

"#]]);
    server.finish();
}
