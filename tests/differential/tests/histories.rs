// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random histories with a load in the middle; `cargo xtask histories` plays more of them.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
    account::{Account, Census},
    history::{Middle, of_seed, play},
    in_process::InProcess,
    keeper::Keeper as _,
    party::Party as _,
    program::Program,
    vmm::Vmm,
};

/// PUE-V-020, PUE-V-086, PUE-V-087, PUE-V-100, PUE-V-101
#[test]
fn every_request_of_the_crate_ends_once_and_with_its_device() -> Result<()> {
    let mut census = Census::default();
    for seed in 0..400 {
        let mut machine = InProcess::new()?;
        let mut account = Account::begin(&machine.list()?);
        let middle = if seed % 2 == 0 { Middle::Load } else { Middle::Migration };
        let failure = play(&mut machine, &mut account, &of_seed(seed, 500, middle))?;
        ensure!(failure.is_none(), "history {seed}:\n{}", failure.map(|f| f.to_string()).unwrap_or_default());
        census = census.with(account.census());
    }
    println!("{census}");
    Ok(())
}

/// PUE-V-020, PUE-V-086, PUE-V-087, PUE-V-090, PUE-V-100, PUE-V-101
#[test]
fn every_request_of_ours_ends_once_and_with_its_device() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?.leaving_memory_out())?;
    let mut census = Census::default();
    for (seed, middle) in [(0, Middle::Load), (1, Middle::Migration), (2, Middle::Nothing), (3, Middle::Load)] {
        vmm.renew()?;
        let mut account = Account::begin(&vmm.list()?);
        let failure = play(&mut vmm, &mut account, &of_seed(seed, 500, middle))?;
        ensure!(failure.is_none(), "history {seed}:\n{}", failure.map(|f| f.to_string()).unwrap_or_default());
        census = census.with(account.census());
    }
    println!("{census}");
    Ok(())
}
