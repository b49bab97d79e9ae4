// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask soak`: sends thousands of requests to a guest under stress. Each must end exactly once.

use std::time::Duration;

use anyhow::Result;
use papr_unplug_tests::artifacts as harness;
use papr_unplug_tests::soak;

use crate::artifacts::Artifacts;
use crate::run::progress::Progress;

/// Soaks for this many minutes, and prints the summary.
pub(crate) fn run(artifacts: &Artifacts, minutes: u64, seed: u64, progress: &Progress) -> Result<()> {
    let artifacts: harness::Artifacts = serde_json::from_value(serde_json::to_value(artifacts)?)?;
    progress.say(format!("soaking for {minutes} minutes; --seed {seed} repeats its random choices"));
    let summary = soak::run(&artifacts, Duration::from_secs(60 * minutes), seed, &|line| progress.say(line))?;
    print!("{summary}");
    println!("Each request ended once, and no guest's kernel has complained.");
    Ok(())
}
