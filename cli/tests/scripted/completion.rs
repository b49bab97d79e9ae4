// SPDX-License-Identifier: MIT OR Apache-2.0

//! Completion of a command line with the devices of a VM.

use crate::server::Server;
use serde_json::json;
use snapbox::cmd::{Command, OutputAssert};

/// Asks for completions of the last word as fish does.
fn complete(words: &[&str]) -> OutputAssert {
    let command = Command::new(env!("CARGO_BIN_EXE_papr-unplug")).env("PAPR_UNPLUG_COMPLETE", "fish");
    command.args(["--", "papr-unplug"]).args(words).assert().success().stderr_eq("")
}

#[test]
fn devices_of_the_vm_are_completed_by_their_ids() {
    let devices = json!([
        { "name": "type", "type": "string" },
        { "name": "dimm1", "type": "child<pc-dimm>" },
        { "name": "dimm2", "type": "child<pc-dimm>" },
        { "name": "net0", "type": "child<virtio-net-pci>" },
        { "name": "dimm0;reboot", "type": "child<pc-dimm>" },
        { "name": "d\u{b}x", "type": "child<pc-dimm>" },
    ]);
    let server = Server::play(move |mut vm| {
        vm.greet();
        vm.answers("qom-list", &devices);
    });
    let socket = server.socket();
    complete(&["unplug", "--qmp", socket.to_str().unwrap(), "net0", "d"]).stdout_eq("dimm1\ndimm2\n");
    server.finish();
}

#[test]
fn vm_that_is_not_named_or_not_there_or_does_not_answer_completes_nothing() {
    complete(&["unplug", "d"]).stdout_eq("");
    complete(&["unplug", "--qmp", "/nonexistent/vm.qmp", "d"]).stdout_eq("");
    let server = Server::play(|mut vm| vm.expects_no_more());
    let socket = server.socket();
    complete(&["unplug", "--qmp", socket.to_str().unwrap(), "d"]).stdout_eq("");
    server.finish();
}
