// SPDX-License-Identifier: MIT OR Apache-2.0

//! The patched QEMU compared with the crate that it is built on, and with stock QEMU.

use anyhow::Result;
use papr_unplug_differential::{
    in_process::InProcess,
    machine::Device::Core,
    play::play,
    program::Program,
    sequence::of_reporting_seed,
    step::Step::{self, Remove},
    tally::Tally,
    vmm::Vmm,
};

/// QEMU's glue around the crate changes no answer.
#[test]
fn ours_and_the_crate_answer_alike() -> Result<()> {
    let (mut ours, mut crate_) = (Vmm::start(&Program::ours()?)?, InProcess::new()?);
    let tally = Tally::of(0..300, &mut ours, &mut crate_)?;
    assert_eq!(tally.alike, 300, "\n{tally}");
    Ok(())
}

/// PUE-V-011, PUE-V-013, PUE-V-021, PUE-V-025
#[test]
fn ours_and_the_crate_answer_reports_alike() -> Result<()> {
    let (mut ours, mut crate_) = (Vmm::start(&Program::ours()?)?, InProcess::new()?);
    let tally = Tally::of_sequences(0..300, of_reporting_seed, &mut ours, &mut crate_)?;
    assert_eq!(tally.alike, 300, "\n{tally}");
    Ok(())
}

#[test]
fn stock_and_ours_part_for_documented_reasons_only() -> Result<()> {
    let (mut stock, mut ours) = (Vmm::start(&Program::stock()?)?, Vmm::start(&Program::ours()?)?);
    let tally = Tally::of(300..500, &mut stock, &mut ours)?;
    println!("{tally}");
    assert_eq!(tally.unexplained, 0, "\n{tally}");
    Ok(())
}

#[test]
fn trace_tells_request_call_outcome_and_deletion() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?.with(&["-trace", "spapr_unplug_*"]))?;
    play(
        &mut vmm,
        &[
            (Remove(Core), "accepted"),
            (Step::Unisolate(Core.first()), "0, core1 refused"),
            (Step::Isolate(Core.first()), "0"),
            (Step::Unusable(Core.first()), "0, core1 deleted"),
        ],
    )?;
    let (_, output) = vmm.footprint()?;
    let traced: Vec<&str> =
        output.lines().filter_map(|line| line.split_once("spapr_unplug_")).map(|(_, l)| l).collect();
    let expected = [
        "set_indicator indicator: 9100, drc: 0x0, value: 0x40000000, status: 0",
        "request request: 1, drc: 0x10000001, count: 1, token: 0",
        "set_indicator indicator: 9001, drc: 0x10000001, value: 0x1, status: 0",
        "outcome request: 1, drc: 0x10000001, end: 2, at: 0x10000001, reason: 0",
        "set_indicator indicator: 9001, drc: 0x10000001, value: 0x0, status: 0",
        "set_indicator indicator: 9003, drc: 0x10000001, value: 0x0, status: 0",
        "delete drc: 0x10000001, count: 1",
    ];
    assert_eq!(traced, expected);
    Ok(())
}
