// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stock QEMU compared with the crate.

use anyhow::Result;
use papr_unplug_differential::{
    in_process::InProcess, machine::BOOT_CORE, play::play, program::Program, step::Step, tally::Tally, vmm::Vmm,
};

/// A guest can give the boot core back, although no request asks for it.
#[test]
fn core_that_the_machine_boots_on_is_renewed() -> Result<()> {
    let mut stock = Vmm::start(&Program::stock()?)?;
    play(
        &mut stock,
        &[
            (Step::Isolate(BOOT_CORE), "0"),
            (Step::Unusable(BOOT_CORE), "0"),
            (Step::Sense(9003, BOOT_CORE), "0, state 2"),
        ],
    )?;
    play(&mut stock, &[(Step::Sense(9003, BOOT_CORE), "0, state 1")])
}

#[test]
fn stock_and_the_crate_part_for_documented_reasons_only() -> Result<()> {
    let mut stock = Vmm::start(&Program::stock()?)?;
    let mut ours = InProcess::new()?;
    let tally = Tally::of(0..300, &mut stock, &mut ours)?;
    println!("{tally}");
    assert_eq!(tally.unexplained, 0, "\n{tally}");
    Ok(())
}
