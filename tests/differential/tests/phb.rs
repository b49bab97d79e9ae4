// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal of a PHB with a bridge and functions below it.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
    answer::EventKind,
    machine::Device::{Behind, Phb},
    monitor::Reply,
    party::Party as _,
    program::Program,
    rtas::RtasCall,
    step::{
        Step::{self, Remove, Reset},
        indicator,
    },
    vmm::Vmm,
};
use papr_unplug_qmp::message::Event;
use serde_json::json;

const PHB: u32 = Phb.first();
const BEHIND: u32 = Behind.first();

/// The PHB goes with all that is below it.
const GONE: &str = "accepted, phb1 deleted, bridge1 deleted, root1 deleted, behind1 deleted";

fn machine() -> Result<Vmm> {
    Vmm::start(&Program::ours()?)
}

fn proceed(vmm: &mut Vmm, scene: &[(Step, &str)]) -> Result<()> {
    for (step, expected) in scene {
        let mut answer = vmm.play(step)?;
        answer.events.sort_by_key(|event| event.device);
        let answer = answer.to_string();
        ensure!(answer == *expected, "{step}: `{answer}`, not `{expected}`");
    }
    Ok(())
}

fn execute(vmm: &mut Vmm, command: &str, arguments: serde_json::Value) -> Result<()> {
    let reply = vmm.execute(command, arguments)?;
    ensure!(matches!(reply, Reply::Done(_)), "{command}: {reply:?}");
    Ok(())
}

/// PUE-V-090
#[test]
fn phb_with_a_bridge_goes_at_a_reset() -> Result<()> {
    let mut vmm = machine()?;
    proceed(&mut vmm, &[(Remove(Phb), "accepted"), (Reset, GONE), (Reset, "accepted")])
}

/// PUE-V-090: a function behind the bridge was asked for too, and is given back before the PHB's memory regions are
/// gone.
#[test]
fn phb_with_a_bridge_goes_before_a_function_behind_it() -> Result<()> {
    let mut vmm = machine()?;
    execute(&mut vmm, "device_del", json!({ "id": "behind1" }))?;
    execute(&mut vmm, "device_del", json!({ "id": "phb1" }))?;
    let statuses = vmm.qtest()?.call_all(&[
        RtasCall::Set(indicator::ISOLATION, PHB, 0),
        RtasCall::Set(indicator::ALLOCATION, PHB, 0),
        RtasCall::Set(indicator::ISOLATION, BEHIND, 0),
    ])?;
    assert_eq!(statuses, [0, 0, -3]);
    proceed(&mut vmm, &[(Reset, GONE)])
}

/// PUE-V-068, PUE-V-105
#[test]
fn phb_that_is_given_back_releases_the_function_behind_it_that_was_asked_for() -> Result<()> {
    let mut vmm = machine()?;
    vmm.play(&Step::ARM)?;
    execute(&mut vmm, "device_del", json!({ "id": "behind1" }))?;
    execute(&mut vmm, "device_del", json!({ "id": "phb1" }))?;
    vmm.qtest()?.set_indicator(indicator::ISOLATION, PHB, 0)?;
    let released = vmm.play(&Step::Unusable(PHB))?;
    assert_eq!(released.count(Behind, EventKind::Deleted), 1, "{released}");
    let deletion = |id: &str| {
        let is_meant = |event: &&Event| event.name() == "DEVICE_DELETED" && event.device() == Some(id);
        let event = vmm.events().iter().find(is_meant)?;
        Some((event.data("requests")?.clone(), event.data("cause")?.clone()))
    };
    assert_eq!(deletion("behind1"), Some((json!([1]), json!("guest"))));
    assert_eq!(deletion("phb1"), Some((json!([2]), json!("guest"))));
    let list = vmm.done("query-device-unplug-requests", json!({}))?;
    let outcomes = list["outcomes"].as_array().cloned().unwrap_or_default();
    let mut ended: Vec<_> = outcomes.iter().map(|one| (one["request"].as_u64(), one["outcome"].clone())).collect();
    ended.sort_by_key(|(request, _)| *request);
    assert_eq!(ended, [1, 2].map(|request| (Some(request), json!("released"))));
    Ok(())
}

/// PUE-V-090: another PHB takes the place before the first one's memory regions are gone.
#[test]
fn phb_can_be_added_at_once_after_its_release() -> Result<()> {
    let mut vmm = machine()?;
    for _ in 0..20 {
        execute(&mut vmm, "device_del", json!({ "id": "phb1" }))?;
        // A PHB that the guest has not configured is released by device_del.
        vmm.qtest()?.set_indicator(indicator::ISOLATION, PHB, 0)?;
        vmm.qtest()?.set_indicator(indicator::ALLOCATION, PHB, 0)?;
        execute(&mut vmm, "device_add", json!({ "driver": "spapr-pci-host-bridge", "id": "phb1", "index": 1 }))?;
    }
    Ok(())
}
