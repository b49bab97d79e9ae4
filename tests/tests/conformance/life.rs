// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that are open while the guest is reset or reboots.

use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    pairing::Pairing,
    story::story_on,
    vmm::{machine::Machine, promise::CLASSES, qemu::Start},
};
use serde_json::json;

/// PUE-V-016, PUE-V-070, PUE-G-061: a reset closes the request and ends the promise. The next guest promises again when
/// it loads the module.
#[test]
fn request_in_the_middle_of_an_attempt_is_closed_by_a_reset() {
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_slof(), |vm| {
        let (dimm, _pages, request) = vm.removal_under_way()?;
        assert_eq!(vm.pending()?[0]["started"], json!(true));
        vm.reset()?;
        let events: Vec<_> = vm.events_about(&request)?.iter().map(|event| event.body.name().to_owned()).collect();
        assert_eq!(events, ["DEVICE_DELETED"]);
        assert_eq!((vm.armed()?, vm.pending()?), (json!([]), json!([])));

        vm.forget(&dimm)?;
        vm.load_module()?;
        assert_eq!(vm.armed()?, json!(CLASSES));
        let next = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&next)?.refusal(["source"])?, [json!("reported-by-token")]);
        Ok(())
    });
}

/// PUE-V-070: a request that the guest refused in silence, before it had the module, is closed as well.
#[test]
fn request_that_nobody_answered_is_closed_when_the_guest_reboots() {
    story_on(Pairing::STOCK_ON_OURS, Machine::Pseries, &Start::with_slof(), |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        let request = vm.request(&dimm)??;
        vm.trace.attempt(&mut vm.guest)?;
        vm.load_module()?;
        assert_eq!(vm.pending()?[0]["promised"], json!(false));

        vm.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        let _gone = vm.guest.start("reboot -f")?;
        vm.await_boot()?;
        let events: Vec<_> = vm.events_about(&request)?.iter().map(|event| event.body.name().to_owned()).collect();
        assert_eq!(events, ["DEVICE_DELETED"]);
        assert_eq!((vm.armed()?, vm.pending()?), (json!([]), json!([])));
        Ok(())
    });
}

/// PUE-G-060: the VMM pauses before the reset, so only the guest itself can have ended its promise.
#[test]
fn guest_that_reboots_takes_its_promise_back_first() {
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_slof(), |vm| {
        assert_eq!(vm.armed()?, json!(CLASSES));
        vm.qmp.execute("set-action", json!({ "reboot": "shutdown", "shutdown": "pause" }))?;
        let moment = vm.qmp.moment();
        let _gone = vm.guest.start("reboot -f")?;
        vm.qmp.wait_for(moment, "the guest to reboot", |event| event.name() == "STOP")?;
        assert_eq!(vm.armed()?, json!([]));

        vm.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        vm.qmp.execute("system_reset", json!({}))?;
        vm.qmp.execute("cont", json!({}))?;
        vm.await_boot()
    });
}
