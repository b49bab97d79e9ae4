// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug` with a QEMU that numbers requests: which outcome is the answer to which request.

use crate::{
    program::papr_unplug,
    server::{Connection, Server},
};
use serde_json::{Value, json};
use snapbox::str;

/// Returns the answer to `query-device-unplug-requests` with these requests for `dimm1`, and whether each is promised.
fn status(requests: &[(u64, bool)]) -> Value {
    let request = |&(number, promised): &(u64, bool)| {
        json!({ "request": number, "device": "dimm1", "path": "/machine/peripheral/dimm1", "class": "memory",
            "promised": promised, "started": false, "hint": false, "withheld": false })
    };
    json!({ "offered": ["cpu", "memory"], "armed": [], "last-request": 7,
        "requests": requests.iter().map(request).collect::<Vec<_>>() })
}

/// Plays a QEMU in which request 6 for `dimm1` is pending, and the program's own one is 7.
fn asked(script: impl FnOnce(&mut Connection) + Send + 'static) -> Server {
    Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &status(&[(6, false)]));
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.answers("device_del", &json!({ "request": 7 }));
        script(&mut vm);
    })
}

fn refuses(vm: &mut Connection, request: u64, source: &str) {
    vm.emits(
        "DEVICE_UNPLUG_GUEST_ERROR",
        &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": request, "reason": "unattributed",
            "reason-code": 0, "source": source }),
    );
}

#[test]
fn inferred_refusal_of_an_earlier_request_answers_one_that_is_not_promised() {
    let server = asked(|vm| {
        refuses(vm, 6, "inferred");
        vm.answers("query-device-unplug-requests", &status(&[(7, false)]));
        let (arguments, id) = vm.expects("device-unplug-withdraw");
        assert_eq!(arguments, json!({ "request": 7 }));
        vm.sends(&json!({ "return": {}, "id": id }).to_string());
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(3).stdout_eq(str![[r#"
dimm1: refused: unattributed, inferred
  meaning: The guest refused and cannot say why.
  what to do: [..]
  which request: the VM charges this to request 6, an earlier one; the guest may have meant request 7, which was made here and is now withdrawn

"#]]);
    server.finish();
}

#[test]
fn connection_lost_while_the_charge_is_looked_up_leaves_the_outcome_unknown() {
    let server = asked(|vm| {
        refuses(vm, 6, "inferred");
        vm.expects("query-device-unplug-requests");
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(5);
    server.finish();
}

#[test]
fn own_request_that_cannot_be_withdrawn_is_said_to_be_pending() {
    let server = asked(|vm| {
        refuses(vm, 6, "inferred");
        vm.answers("query-device-unplug-requests", &status(&[(7, false)]));
        vm.lacks("device-unplug-withdraw");
    });
    let output = papr_unplug(&server, &["unplug", "dimm1"]).code(3);
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.contains("request 7, which was made here and is still pending\n"), "{text}");
    server.finish();
}

#[test]
fn own_request_that_ends_before_it_is_withdrawn_has_its_own_outcome() {
    let server = asked(|vm| {
        refuses(vm, 6, "inferred");
        vm.answers("query-device-unplug-requests", &status(&[(7, false)]));
        let (_, id) = vm.expects("device-unplug-withdraw");
        refuses(vm, 7, "reported-in-order");
        vm.sends(&json!({ "error": { "class": "GenericError", "desc": "Request 7 has ended" }, "id": id }).to_string());
    });
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(3);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!((&object["request"], &object["source"]), (&json!(7), &json!("reported-in-order")));
    server.finish();
}

#[test]
fn inferred_refusal_of_an_earlier_request_is_no_answer_to_one_that_is_promised() {
    let server = asked(|vm| {
        refuses(vm, 6, "inferred");
        vm.answers("query-device-unplug-requests", &status(&[(7, true)]));
        refuses(vm, 7, "reported-by-token");
    });
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(3);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!((&object["request"], &object["source"]), (&json!(7), &json!("reported-by-token")));
    server.finish();
}

/// An answer to a later request ends the earlier ones that are not promised; each has its own event.
#[test]
fn inferred_refusal_that_precedes_ones_own_answer_is_not_taken_for_it() {
    let server = asked(|vm| {
        refuses(vm, 6, "inferred");
        refuses(vm, 7, "reported-in-order");
        vm.answers("query-device-unplug-requests", &status(&[]));
    });
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(3);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["request"], 7);
    server.finish();
}

#[test]
fn outcome_of_another_clients_request_is_not_ones_own() {
    let server = asked(|vm| {
        refuses(vm, 8, "reported-by-token");
        refuses(vm, 7, "reported-by-token");
    });
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(3);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["request"], 7);
    server.finish();
}

#[test]
fn request_that_was_withdrawn_or_ended_by_a_load_ends_the_wait() {
    for (outcome, words) in [("withdrawn", "withdrawn"), ("load", "closed by the load of a snapshot")] {
        let server = asked(move |vm| {
            vm.emits("DEVICE_UNPLUG_REQUEST_ENDED", &json!({ "device": "dimm1", "request": 7, "outcome": outcome }));
        });
        let output = papr_unplug(&server, &["unplug", "dimm1"]).code(9);
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        assert!(text.starts_with(&format!("dimm1: {words}\n")), "{text}");
        server.finish();
    }
}

#[test]
fn request_that_is_withheld_is_said_not_to_have_reached_the_guest() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &status(&[]));
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.answers("device_del", &json!({ "request": 7, "withheld": true }));
        vm.emits("DEVICE_DELETED", &json!({ "device": "nic1", "requests": [7], "cause": "guest" }));
    });
    papr_unplug(&server, &["unplug", "nic1"]).code(0).stdout_eq("nic1: released\n").stderr_eq(str![[r#"
papr-unplug: nic1: the guest is not asked for this PCI function by itself: request 7 is withheld until function 0 of the slot is asked for

"#]]);
    server.finish();
}

#[test]
fn device_is_recognized_by_each_name_that_device_del_accepts() {
    for name in ["dimm1/", "/machine/peripheral/dimm1/", "//machine//peripheral/dimm1"] {
        let server = Server::stock_asked(|vm| {
            vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        });
        papr_unplug(&server, &["unplug", name]).code(3);
        server.finish();
    }
}

/// Events before the answer to `device_del` are about an earlier request: stock QEMU sends two for one refusal.
#[test]
fn refusal_before_the_request_was_accepted_is_no_answer() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("query-device-unplug-requests");
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        let (_, id) = vm.expects("device_del");
        vm.emits("DEVICE_UNPLUG_GUEST_ERROR", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        vm.sends(&json!({ "return": {}, "id": id }).to_string());
        vm.emits("DEVICE_DELETED", &json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1" }));
        vm.answers_all();
    });
    papr_unplug(&server, &["unplug", "dimm1"]).code(0);
    server.finish();
}

/// A QEMU that numbers requests, but does not return the number, lists the new one.
#[test]
fn own_request_is_found_in_the_list_where_device_del_does_not_return_it() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.answers("query-device-unplug-requests", &json!({ "last-request": 6, "requests": [] }));
        vm.answers("query-status", &json!({ "status": "running", "running": true }));
        vm.answers("device_del", &json!({}));
        vm.answers("query-device-unplug-requests", &status(&[(7, true)]));
        refuses(&mut vm, 8, "reported-by-token");
        refuses(&mut vm, 7, "reported-by-token");
    });
    let output = papr_unplug(&server, &["unplug", "--json", "dimm1"]).code(3);
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["request"], 7);
    server.finish();
}
