// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stock QEMU beside the crate in this process.

use anyhow::Result;
use papr_unplug_differential::{in_process::InProcess, program::Program, tally::Tally, vmm::Vmm};

#[test]
fn stock_and_the_crate_part_for_documented_reasons_only() -> Result<()> {
    let mut stock = Vmm::start(&Program::stock()?)?;
    let mut ours = InProcess::new()?;
    let tally = Tally::of(0..300, &mut stock, &mut ours)?;
    println!("{tally}");
    assert_eq!(tally.unexplained, 0, "\n{tally}");
    Ok(())
}
