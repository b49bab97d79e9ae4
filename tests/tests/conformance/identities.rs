// SPDX-License-Identifier: MIT OR Apache-2.0

//! Identities of requests, which no other request ever has, whatever happens to the VMM.

use anyhow::Result;
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::{
    artifacts::Artifacts,
    device::dimm::ONE_LMB,
    pairing::{Pairing, Side},
    story::story,
    vm::{Vm, logs},
};
use serde_json::json;

/// PUE-V-020, PUE-V-086
#[test]
fn request_after_a_migration_has_a_number_of_its_own() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, Pairing::OURS, "identities.source")?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    assert_eq!(vm.remove(&dimm)?.refusal(["request"])?, [json!(1)]);
    let mut vm = vm.migrate(&artifacts, Side::Ours, "identities.destination")?;
    assert_eq!(vm.remove(&dimm)?.refusal(["request"])?, [json!(2)]);
    vm.inspect()
}

/// PUE-V-020, PUE-V-086: the request after the snapshot is forgotten, and its number is not.
#[test]
fn request_after_a_snapshot_is_loaded_has_a_number_of_its_own() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        vm.save_snapshot(&logs("identities.numbers.qcow2"))?;
        assert_eq!(vm.remove(&dimm)?.refusal(["request"])?, [json!(1)]);
        vm.load_snapshot()?;
        assert_eq!(vm.remove(&dimm)?.refusal(["request"])?, [json!(2)]);
        Ok(())
    });
}

/// PUE-V-087: the load deletes no device, and the request is open as before.
#[test]
fn open_request_of_a_snapshot_is_open_after_the_load() {
    story(Pairing::OURS, |vm| {
        let (_dimm, pages, request) = vm.removal_under_way()?;
        vm.save_snapshot(&logs("identities.open.qcow2"))?;
        vm.load_snapshot()?;
        assert_eq!(vm.pending()?[0]["request"], json!(1));
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        let expected = [json!(1), json!("reported-by-token")];
        assert_eq!(vm.watch(request)?.refusal(["request", "source"])?, expected);
        Ok(())
    });
}

/// PUE-V-087: no second outcome is told of the request that has ended since the snapshot.
#[test]
fn open_request_of_a_snapshot_that_has_ended_since_has_another_number_after_the_load() {
    story(Pairing::OURS, |vm| {
        let (_dimm, pages, request) = vm.removal_under_way()?;
        vm.save_snapshot(&logs("identities.ended.qcow2"))?;
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
