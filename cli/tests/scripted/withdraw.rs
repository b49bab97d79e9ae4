// SPDX-License-Identifier: MIT OR Apache-2.0

//! `withdraw`: end of a request by its user.

use crate::{program::papr_unplug, server::Server};
use serde_json::json;
use snapbox::str;

#[test]
fn request_is_withdrawn_by_its_number() {
    let server = Server::play(|mut vm| {
        vm.greet();
        let (arguments, id) = vm.expects("device-unplug-withdraw");
        assert_eq!(arguments, json!({ "request": 7 }));
        vm.sends(&json!({ "return": {}, "id": id }).to_string());
    });
    papr_unplug(&server, &["withdraw", "7"]).code(0).stderr_eq("").stdout_eq(str![[r#"
request 7: withdrawn
  meaning: the request is over; the device is deleted all the same if the guest gives it back later

"#]]);
    server.finish();
}

#[test]
fn request_that_has_ended_is_not_withdrawn() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.refuses("device-unplug-withdraw", "GenericError", "Request 7 has ended");
    });
    papr_unplug(&server, &["withdraw", "7"]).code(6).stdout_eq(str![[r#"
request 7: rejected by the VM: Request 7 has ended (GenericError)

"#]]);
    server.finish();
}

#[test]
fn stock_qemu_withdraws_nothing() {
    let server = Server::play(|mut vm| {
        vm.greet();
        vm.lacks("device-unplug-withdraw");
    });
    papr_unplug(&server, &["withdraw", "7"]).code(7).stdout_eq("").stderr_eq(str![[r#"
papr-unplug: this VM's QEMU cannot withdraw a request: it has no device-unplug-withdraw

"#]]);
    server.finish();
}
