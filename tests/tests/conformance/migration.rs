// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that are made in one VMM and answered in another.

use super::fallback::take_no_reports;
use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    artifacts::Artifacts,
    device::{Device, dimm::ONE_LMB},
    pairing::{Pairing, Side},
    removal::Outcome,
    vm::Vm,
    vmm::{promise::CLASSES, qmp::Event},
};
use serde_json::json;

/// PUE-V-080, PUE-V-081, PUE-V-101: the guest does not notice the migration, and its answer has the token of the
/// request.
#[test]
fn refusal_of_an_attempt_that_began_in_another_vmm_is_reported_by_its_token() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, Pairing::OURS, "migration.refused.source")?;
    let (dimm, pages, request) = vm.removal_under_way()?;
    let expected = json!([{
        "request": 1, "device": dimm.id(), "path": format!("/machine/peripheral/{}", dimm.id()), "class": "memory",
        "promised": true, "started": true, "withheld": false, "hint": false,
    }]);
    assert_eq!(vm.pending()?, expected);

    let mut vm = vm.migrate(&artifacts, Side::Ours, "migration.refused.destination")?;
    assert_eq!((vm.armed()?, vm.pending()?), (json!(CLASSES), expected));
    vm.veto_offlining()?;
    vm.release_pages(pages)?;
    let event = first_event(&mut vm, &dimm)?;
    let member = |name| event.body.data(name).cloned();
    assert_eq!(event.body.name(), "DEVICE_UNPLUG_GUEST_ERROR");
    let expected = [json!(1), json!("reported-by-token"), json!("memory-veto"), json!(16)];
    assert_eq!(["request", "source", "reason", "errno"].map(member), expected.map(Some));

    vm.await_attempt(request)?;
    vm.allow_offlining()?;
    assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
    assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("released", 1), ("reported", 1), ("requests", 2)]);
    vm.inspect()
}

/// PUE-V-080, PUE-V-081
#[test]
fn device_whose_removal_began_in_another_vmm_is_released() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, Pairing::OURS, "migration.released.source")?;
    let (dimm, pages, _) = vm.removal_under_way()?;
    let mut vm = vm.migrate(&artifacts, Side::Ours, "migration.released.destination")?;
    vm.release_pages(pages)?;
    assert_eq!(first_event(&mut vm, &dimm)?.body.name(), "DEVICE_DELETED");
    assert_eq!(vm.pending()?, json!([]));
    vm.inspect()
}

/// PUE-G-040, PUE-G-050
#[test]
fn armed_guest_that_goes_to_a_stock_vmm_hints_at_refusals_there() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, Pairing::OURS, "migration.stock.source")?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);

    take_no_reports(&mut vm)?;
    let mut vm = vm.migrate(&artifacts, Side::Stock, "migration.stock.destination")?;
    let removal = vm.remove(&dimm)?;
    assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(0)]));
    vm.allow_offlining()?;
    assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
    vm.inspect()
}

/// PUE-G-041: the VMM in between knows no promises, so none reaches the one after it.
#[test]
fn armed_guest_that_comes_back_from_a_stock_vmm_hints_once_and_promises_anew() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, Pairing::OURS, "migration.back.source")?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    take_no_reports(&mut vm)?;
    let vm = vm.migrate(&artifacts, Side::Stock, "migration.back.middle")?;
    let mut vm = vm.migrate(&artifacts, Side::Ours, "migration.back.destination")?;
    assert_eq!(vm.armed()?, json!([]));

    for source in ["inferred", "reported-by-token"] {
        assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!(source)]);
        assert_eq!(vm.armed()?, json!(CLASSES));
    }
    vm.inspect()
}

/// Waits for the first event about a device in all of the VMM's life, and returns it.
fn first_event(vm: &mut Vm, device: &impl Device) -> Result<Event> {
    let begin = vm.qmp.begin();
    let is_it = |event: &papr_unplug_qmp::message::Event| event.device() == Some(device.id());
    vm.qmp.wait_for(begin, "the end of a request", is_it)?;
    vm.qmp.since(begin).iter().find(|event| is_it(&event.body)).cloned().context("it was there")
}
