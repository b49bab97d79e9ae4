// SPDX-License-Identifier: MIT OR Apache-2.0

//! Our QEMU beside the crate that it is built on, and beside stock QEMU.

use anyhow::Result;
use papr_unplug_differential::{
    in_process::InProcess, program::Program, sequence::of_reporting_seed, tally::Tally, vmm::Vmm,
};

/// What is between the crate and the guest in QEMU changes nothing.
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
