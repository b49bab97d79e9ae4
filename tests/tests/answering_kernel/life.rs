// SPDX-License-Identifier: MIT OR Apache-2.0

//! Promise of the kernel over resets, reboots and snapshots: a kernel that boots arms by itself.

use crate::{ANSWERING, BY_TOKEN, CLASSES};
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    story::{story, story_on},
    vm::logs,
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::json;

/// PUE-G-010, PUE-G-061, PUE-V-070
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn request_in_the_middle_of_an_attempt_is_closed_by_a_reset_and_the_next_one_is_promised() {
    story_on(ANSWERING, Machine::Pseries, &Start::with_slof(), |vm| {
        let (dimm, _pages, request) = vm.removal_under_way()?;
        assert_eq!([&vm.pending()?[0]["promised"], &vm.pending()?[0]["started"]], [&json!(true); 2]);
        vm.reset()?;
        let events: Vec<_> = vm.events_about(&request)?.iter().map(|event| event.body.name().to_owned()).collect();
        assert_eq!(events, ["DEVICE_DELETED"]);
        assert_eq!((vm.armed()?, vm.pending()?), (json!(CLASSES), json!([])));

        vm.forget(&dimm)?;
        let next = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&next)?.refusal(["source"])?, [json!(BY_TOKEN)]);
        Ok(())
    });
}

/// PUE-G-060: the VMM pauses before the reset, so only the guest itself can have ended its promise.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn guest_that_reboots_takes_its_promise_back_first_and_gives_it_again() {
    story_on(ANSWERING, Machine::Pseries, &Start::with_slof(), |vm| {
        vm.qmp.execute("set-action", json!({ "reboot": "shutdown", "shutdown": "pause" }))?;
        let moment = vm.qmp.moment();
        let _gone = vm.guest.start("reboot -f")?;
        vm.qmp.wait_for(moment, "the guest to reboot", |event| event.name() == "STOP")?;
        assert_eq!(vm.armed()?, json!([]));

        vm.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        vm.qmp.execute("system_reset", json!({}))?;
        vm.qmp.execute("cont", json!({}))?;
        vm.await_boot()?;
        assert_eq!(vm.armed()?, json!(CLASSES));
        Ok(())
    });
}

/// PUE-V-087: the load deletes no device, and the request is open as before.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn open_request_of_a_snapshot_is_open_after_the_load_and_answered_by_its_token() {
    story(ANSWERING, |vm| {
        let (_dimm, pages, request) = vm.removal_under_way()?;
        vm.save_snapshot(&logs("answering-kernel.open.qcow2"))?;
        vm.load_snapshot()?;
        assert_eq!(vm.pending()?[0]["request"], json!(1));
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.refusal(["request", "source"])?, [json!(1), json!(BY_TOKEN)]);
        Ok(())
    });
}

/// PUE-V-087: no second outcome is told of the request that has ended since the snapshot.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn open_request_of_a_snapshot_that_has_ended_since_has_another_number_after_the_load() {
    story(ANSWERING, |vm| {
        let (_dimm, pages, request) = vm.removal_under_way()?;
        vm.save_snapshot(&logs("answering-kernel.ended.qcow2"))?;
        vm.veto_offlining()?;
        vm.release_pages(pages.clone())?;
        assert_eq!(vm.watch(request)?.refusal(["request"])?, [json!(1)]);

        let before = vm.qmp.moment();
        vm.load_snapshot()?;
        assert_eq!(vm.pending()?[0]["request"], json!(2));
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        let is_outcome = |event: &Event| event.data("request") == Some(&json!(2));
        vm.qmp.wait_for(before, "the outcome of the other request", is_outcome)?;
        Ok(())
    });
}

/// PUE-G-041: a guest that resumes on another platform is told by its device tree.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn offer_that_changes_is_read_again_and_armed_anew() {
    story(ANSWERING, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.begin_fault("property=papr-unplug,unplug-status")?;
        vm.await_armed(&CLASSES)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!(BY_TOKEN)]);
        Ok(())
    });
}
