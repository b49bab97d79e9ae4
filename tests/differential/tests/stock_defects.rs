// SPDX-License-Identifier: MIT OR Apache-2.0

//! Defects of stock QEMU, each by the shortest sequence of calls that shows it.

use anyhow::Result;
use papr_unplug_differential::{
    answer::Response,
    machine::Device::{Core, Dimm1, Dimm2},
    party::Party as _,
    play::play,
    program::Program,
    step::Step::{self, Remove, Reset},
    vmm::Vmm,
};

const CORE: u32 = Core.first();
const LMB: u32 = Dimm2.first();

fn stock(scene: &[(Step, &str)]) -> Result<()> {
    play(&mut Vmm::start(&Program::stock()?)?, scene)
}

#[test]
fn stock_one_refused_dimm_is_told_twice() -> Result<()> {
    stock(&[(Remove(Dimm1), "accepted"), (Step::Unisolate(Dimm1.first()), "0, dimm1 refused, dimm1 refused")])
}

#[test]
fn stock_second_answer_of_two_refusals_is_lost() -> Result<()> {
    stock(&[
        (Remove(Core), "accepted"),
        (Remove(Core), "accepted"),
        (Step::Unisolate(CORE), "0, core1 refused"),
        (Step::Unisolate(CORE), "0"),
        (Step::Unisolate(CORE), "0"),
        // Stock has forgotten the second request.
        (Reset, "accepted"),
    ])
}

#[test]
fn stock_cpu_refused_and_then_given_back_is_a_ghost() -> Result<()> {
    stock(&[
        (Remove(Core), "accepted"),
        (Remove(Core), "accepted"),
        (Step::Unisolate(CORE), "0, core1 refused"),
        (Step::Isolate(CORE), "0"),
        (Step::Unusable(CORE), "0"),
        (Step::Sense(9003, CORE), "0, state 2"),
        (Step::Add(Core), "rejected"),
    ])
}

#[test]
fn stock_pending_dimm_is_wedged_until_reset() -> Result<()> {
    stock(&[
        (Remove(Dimm1), "accepted"),
        (Remove(Dimm1), "rejected (Memory unplug already in progress for device dimm1)"),
        (Remove(Dimm1), "rejected (Memory unplug already in progress for device dimm1)"),
        (Reset, "accepted, dimm1 deleted"),
    ])
}

#[test]
fn stock_partial_release_refusal_and_another_device_del_abort() -> Result<()> {
    stock(&[
        (Remove(Dimm2), "accepted"),
        (Step::Isolate(LMB), "0"),
        (Step::Unusable(LMB), "0"),
        (Step::Unisolate(LMB + 1), "0, dimm2 refused, dimm2 refused"),
        (Remove(Dimm2), "the VMM ended (signal: 6 (SIGABRT)"),
    ])
}

#[test]
fn stock_reset_turns_a_pending_removal_into_a_deletion() -> Result<()> {
    stock(&[(Remove(Core), "accepted"), (Reset, "accepted, core1 deleted")])
}

#[test]
fn stock_refusal_after_migration_aborts() -> Result<()> {
    let mut source = Vmm::start(&Program::stock()?)?;
    play(&mut source, &[(Remove(Dimm2), "accepted")])?;
    let mut destination = source.migrate(&Program::stock()?)?;
    let answer = destination.play(&Step::Unisolate(LMB))?;
    assert!(matches!(&answer.response, Response::Ended(words) if words.contains("SIGABRT")), "{answer}");
    Ok(())
}
