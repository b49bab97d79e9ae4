// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that are made in one VMM and answered in another.

use crate::{ANSWERING, BY_TOKEN, CLASSES, fallback::take_no_reports};
use anyhow::Result;
use papr_unplug_tests::{
    artifacts::Artifacts,
    device::{Device, dimm::ONE_LMB},
    pairing::Side,
    removal::Outcome,
    vm::Vm,
};
use serde_json::json;

/// PUE-V-080, PUE-V-081: the guest does not notice the migration, and its answer has the token of the request.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn refusal_of_an_attempt_that_began_in_another_vmm_is_reported_by_its_token() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, ANSWERING, "answering-kernel.migration.refused.source")?;
    let (dimm, pages, request) = vm.removal_under_way()?;
    let mut vm = vm.migrate(&artifacts, Side::Ours, "answering-kernel.migration.refused.destination")?;
    assert_eq!((vm.armed()?, &vm.pending()?[0]["promised"]), (json!(CLASSES), &json!(true)));
    vm.veto_offlining()?;
    vm.release_pages(pages)?;
    let begin = vm.qmp.begin();
    let is_it = |event: &papr_unplug_qmp::message::Event| event.device() == Some(dimm.id());
    vm.qmp.wait_for(begin, "the end of a request", is_it)?;
    let event = vm.qmp.since(begin).iter().find(|event| is_it(&event.body)).cloned().unwrap();
    let expected = [json!(1), json!(BY_TOKEN), json!("memory-veto"), json!(16)];
    let member = |name| event.body.data(name).cloned();
    assert_eq!(["request", "source", "reason", "errno"].map(member), expected.map(Some));

    vm.await_attempt(request)?;
    vm.allow_offlining()?;
    assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
    vm.inspect()
}

/// PUE-G-040, PUE-G-050
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn armed_guest_that_goes_to_a_stock_vmm_hints_at_refusals_there() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, ANSWERING, "answering-kernel.migration.stock.source")?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!(BY_TOKEN)]);

    take_no_reports(&mut vm)?;
    let mut vm = vm.migrate(&artifacts, Side::Stock, "answering-kernel.migration.stock.destination")?;
    let removal = vm.remove(&dimm)?;
    assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(0)]));
    vm.allow_offlining()?;
    assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
    vm.inspect()
}

/// PUE-G-041: the VMM in between knows no promises, so none reaches the one after it.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn armed_guest_that_comes_back_from_a_stock_vmm_hints_once_and_promises_anew() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, ANSWERING, "answering-kernel.migration.back.source")?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    take_no_reports(&mut vm)?;
    let vm = vm.migrate(&artifacts, Side::Stock, "answering-kernel.migration.back.middle")?;
    let mut vm = vm.migrate(&artifacts, Side::Ours, "answering-kernel.migration.back.destination")?;
    assert_eq!(vm.armed()?, json!([]));

    for source in ["inferred", BY_TOKEN] {
        assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!(source)]);
        assert_eq!(vm.armed()?, json!(CLASSES));
    }
    vm.inspect()
}
