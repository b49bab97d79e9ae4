// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask soak`: sends thousands of requests to a guest under stress. Each must end exactly once.

use crate::{
    artifacts::{Artifacts, guest_kernel::GuestKernel},
    cache::Store,
};
use anyhow::Result;
use papr_unplug_tests::soak::{self, session::BootCpus};
use std::time::Duration;

/// Soaks for this many minutes, and prints the summary. With `smp` guests boot with four CPUs.
pub(crate) fn run(store: &Store, kernel: &GuestKernel, smp: bool, minutes: u64, seed: u64) -> Result<()> {
    let cpus = if smp { BootCpus::Four } else { BootCpus::One };
    let artifacts = Artifacts::with(store, kernel)?;
    let say = |line: &str| store.progress.say(line);
    say(&format!("soaking for {minutes} minutes; --seed {seed} repeats its random choices"));
    let summary = soak::run(&artifacts.for_harness()?, cpus, Duration::from_secs(60 * minutes), seed, &say)?;
    print!("{summary}");
    println!("Each request ended once, and no guest's kernel has complained.");
    Ok(())
}
