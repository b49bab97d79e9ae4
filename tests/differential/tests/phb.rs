// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal of a PHB with a bridge and functions below it.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
    machine::Device::Phb,
    monitor::Reply,
    party::Party as _,
    program::Program,
    step::{
        Step::{self, Remove, Reset},
        indicator,
    },
    vmm::Vmm,
};
use serde_json::json;

const PHB: u32 = Phb.first();
/// The connector of the function behind the bridge: PHB 1, chassis 7, slot 1.
const BEHIND: u32 = 0x4001_0708;

fn machine() -> Result<Vmm> {
    Vmm::start(&Program::ours()?.with(&[
        "-device",
        "pci-bridge,id=bridge1,bus=phb1.0,chassis_nr=7,addr=1",
        "-device",
        "virtio-rng-pci,id=behind1,bus=bridge1,addr=1",
        "-device",
        "virtio-rng-pci,id=function1,bus=phb1.0,addr=2",
    ]))
}

fn proceed(vmm: &mut Vmm, scene: &[(Step, &str)]) -> Result<()> {
    for (step, expected) in scene {
        let answer = vmm.play(step)?.to_string();
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
    proceed(&mut vmm, &[(Remove(Phb), "accepted"), (Reset, "accepted, phb1 deleted"), (Reset, "accepted")])
}

/// PUE-V-090: a function behind the bridge was asked for too.
#[test]
fn phb_with_a_bridge_goes_before_a_function_behind_it() -> Result<()> {
    let mut vmm = machine()?;
    execute(&mut vmm, "device_del", json!({ "id": "behind1" }))?;
    proceed(
        &mut vmm,
        &[
            (Remove(Phb), "accepted"),
            (Step::Isolate(PHB), "0"),
            (Step::Unusable(PHB), "0, phb1 deleted"),
            (Step::Isolate(BEHIND), "-3"),
            (Reset, "accepted"),
        ],
    )
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
