// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal of a PHB with a bridge and functions below it.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
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
