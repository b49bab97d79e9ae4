// SPDX-License-Identifier: MIT OR Apache-2.0

//! The defects of `stock_defects.rs` by the same calls, absent in the patched QEMU.

use anyhow::Result;
use papr_unplug_differential::{
    machine::Device::{Core, Dimm1, Dimm2, Phb},
    play::play,
    program::Program,
    step::Step::{self, Add, Remove, Reset},
    vmm::Vmm,
};
use serde_json::json;

const CORE: u32 = Core.first();
const LMB: u32 = Dimm2.first();

fn ours(scene: &[(Step, &str)]) -> Result<Vmm> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    play(&mut vmm, scene)?;
    Ok(vmm)
}

/// PUE-V-100
#[test]
fn ours_one_refused_dimm_is_told_once() -> Result<()> {
    let vmm = ours(&[(Remove(Dimm1), "accepted"), (Step::Unisolate(Dimm1.first()), "0, dimm1 refused")])?;
    let [event] = vmm.events() else { panic!("{:?}", vmm.events()) };
    let expected = json!({
        "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": 1, "source": "inferred",
        "reason": "unattributed", "reason-code": 0, "persistence": "unknown", "drc": Dimm1.first(), "address": 1 << 30,
    });
    assert_eq!(event.object()["data"], expected);
    Ok(())
}

/// PUE-V-020
#[test]
fn ours_two_refusals_are_two_answers() -> Result<()> {
    ours(&[
        (Remove(Core), "accepted"),
        (Remove(Core), "accepted"),
        (Step::Unisolate(CORE), "0, core1 refused"),
        (Step::Unisolate(CORE), "0, core1 refused"),
        (Step::Unisolate(CORE), "0"),
        (Reset, "accepted"),
    ])?;
    Ok(())
}

/// PUE-V-060
#[test]
fn ours_cpu_refused_and_then_given_back_is_deleted() -> Result<()> {
    ours(&[
        (Remove(Core), "accepted"),
        (Remove(Core), "accepted"),
        (Step::Unisolate(CORE), "0, core1 refused"),
        (Step::Isolate(CORE), "0"),
        (Step::Unusable(CORE), "0, core1 deleted"),
        (Step::Sense(9003, CORE), "0, state 2"),
        (Add(Core), "accepted"),
    ])?;
    Ok(())
}

/// PUE-V-050
#[test]
fn ours_pending_dimm_can_be_asked_for_again() -> Result<()> {
    ours(&[
        (Remove(Dimm1), "accepted"),
        (Remove(Dimm1), "accepted"),
        (Step::Unisolate(Dimm1.first()), "0, dimm1 refused"),
        (Step::Unisolate(Dimm1.first()), "0, dimm1 refused"),
        (Reset, "accepted"),
    ])?;
    Ok(())
}

/// PUE-V-053, PUE-V-063
#[test]
fn ours_partial_release_refusal_and_another_device_del_is_a_removal() -> Result<()> {
    ours(&[
        (Remove(Dimm2), "accepted"),
        (Step::Isolate(LMB), "0"),
        (Step::Unusable(LMB), "0"),
        (Step::Unisolate(LMB + 1), "0, dimm2 refused"),
        (Remove(Dimm2), "accepted"),
        (Step::Isolate(LMB + 1), "0"),
        (Step::Unusable(LMB + 1), "0, dimm2 deleted"),
    ])?;
    Ok(())
}

/// PUE-V-070, PUE-V-073
#[test]
fn ours_reset_deletes_what_is_open_keeps_what_was_refused_and_discards_events() -> Result<()> {
    ours(&[
        (Remove(Core), "accepted"),
        (Remove(Dimm1), "accepted"),
        (Step::Unisolate(Dimm1.first()), "0, dimm1 refused"),
        (Reset, "accepted, core1 deleted"),
        (Step::TakeEvent, "no event"),
        (Remove(Dimm1), "accepted"),
    ])?;
    Ok(())
}

/// Removing a PHB removes the connectors behind it, in the middle of a loop over the library's effects.
#[test]
fn ours_phb_goes_with_the_connectors_behind_it_and_comes_again() -> Result<()> {
    ours(&[
        (Remove(Phb), "accepted"),
        (Step::Isolate(Phb.first()), "0"),
        (Step::Unusable(Phb.first()), "0, root1 deleted, behind1 deleted, bridge1 deleted, phb1 deleted"),
        (Add(Phb), "accepted"),
        // The guest has not configured it, so it is released at once.
        (Remove(Phb), "accepted, phb1 deleted"),
    ])?;
    Ok(())
}
