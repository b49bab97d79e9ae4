// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask soak`: sends thousands of requests to a guest under stress. Each must end exactly once.

use crate::{
    artifacts::{Artifacts, flavour::Flavour},
    cache::store::Store,
};
use anyhow::Result;
use papr_unplug_tests::soak;
use std::time::Duration;

/// Soaks for this many minutes, and prints the summary.
pub(crate) fn run(store: &Store, flavour: Flavour, minutes: u64, seed: u64) -> Result<()> {
    let artifacts = Artifacts::ensure(store, flavour)?;
    let say = |line: &str| store.progress.say(line);
    say(&format!("soaking for {minutes} minutes; --seed {seed} repeats its random choices"));
    let summary = soak::run(&artifacts.for_harness()?, Duration::from_secs(60 * minutes), seed, &say)?;
    print!("{summary}");
    println!("Each request ended once, and no guest's kernel has complained.");
    Ok(())
}
