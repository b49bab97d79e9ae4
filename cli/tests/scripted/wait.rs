// SPDX-License-Identifier: MIT OR Apache-2.0

//! `wait`: outcome of a request that was made before.

use crate::{
    program::papr_unplug,
    server::{Connection, Server},
};
use serde_json::{Value, json};
use snapbox::str;

/// Plays a QEMU whose request 7 for `dimm1` is pending, and request 6 has ended.
fn ours(script: impl FnOnce(&mut Connection) + Send + 'static) -> Server {
    Server::play(|mut vm| {
        vm.greet();
        vm.answers(
            "query-device-unplug-requests",
            &json!({ "armed": ["memory"], "last-request": 7,
                "requests": [{ "request": 7, "device": "dimm1", "promised": true }],
                "outcomes": [{ "request": 6, "class": "memory", "drc": 0x8000_0008u32, "outcome": "refused",
                    "reason": "memory-veto", "errno": 16 }] }),
        );
        script(&mut vm);
    })
}

#[test]
fn pending_request_is_waited_for() {
    let server = ours(|vm| {
        let refused = |request| json!({ "device": "dimm1", "request": request, "source": "reported-by-token" });
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &refused(8));
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &refused(7));
    });
    let output = papr_unplug(&server, &["wait", "--json", "7"]).code(3);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["request"], 7);
    server.finish();
}

#[test]
fn outcome_of_the_past_is_printed() {
    let server = ours(|vm| vm.expects_no_more());
    papr_unplug(&server, &["wait", "6"]).code(3).stdout_eq(str![[r#"
request 6: refused: memory-veto, errno 16 (Device or resource busy), DRC 0x80000008
  meaning: [..]
  what to do: [..]

"#]]);
    server.finish();
}

#[test]
fn request_that_is_no_longer_listed_has_an_unknown_outcome() {
    let server = ours(|vm| vm.expects_no_more());
    papr_unplug(&server, &["wait", "5"])
        .code(5)
        .stdout_eq("")
        .stderr_eq("papr-unplug: request 5 has ended, and this VM does not say how\n");
    server.finish();
}

#[test]
fn request_that_was_not_made_yet_is_an_error() {
    let server = ours(|vm| vm.expects_no_more());
    papr_unplug(&server, &["wait", "8"])
        .code(1)
        .stderr_eq("papr-unplug: there is no request 8 yet; the latest one is 7\n");
    server.finish();
}

#[test]
fn stock_qemu_numbers_no_requests() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
    });
    papr_unplug(&server, &["wait", "1"]).code(7).stdout_eq("");
    server.finish();
}
