// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask fuzz`: fuzzes the host crate by cargo-fuzz, and counts what was reached.

use crate::{cache::Store, command::tool::FUZZ, run::machine};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use papr_unplug_tests::dice::Dice;
use std::fs;

/// A target: a file in `host-vmm/fuzz/fuzz_targets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The words of an RTAS call.
    Decode,
    /// A machine, from its first device to its last, compared with the reference of the tests.
    Tracker,
    /// A migration stream.
    Restore,
    /// The functions of the C ABI, with AddressSanitizer.
    Capi,
}

/// The crate of the targets.
const CRATE: &str = "host-vmm/fuzz";

/// The size of an input. Inputs are long from the start, because many states are reached only after many steps.
const SIZE: usize = 1024;

/// The options of libFuzzer: limits of one input, in seconds and MiB, and of its size.
const OPTIONS: [&str; 5] =
    ["-timeout=10", "-rss_limit_mb=1024", "-max_len=1024", "-len_control=0", "-use_value_profile=1"];

/// The number of random inputs that a new corpus begins with.
const SEEDS: u64 = 64;

/// Fuzzes these targets, or all of them if none is named, one after the other on all processors.
pub(crate) fn run(store: &Store, minutes: u32, targets: &[Target]) -> Result<()> {
    // The crate of libFuzzer brings its source, which is C++.
    machine::require(&store.progress, &[("c++", "g++")])?;
    let targets = if targets.is_empty() { Target::value_variants() } else { targets };
    for target in targets {
        fuzz(store, *target, minutes)?;
    }
    if !targets.contains(&Target::Tracker) {
        return Ok(());
    }
    let mut census = machine::cargo(&store.settings.checkout.join(CRATE));
    census.args(["run", "--release", "--locked", "--bin", "census", "--", "corpus/tracker"]);
    // As cargo-fuzz does, so that the targets need not be built again.
    census.env("RUSTFLAGS", "--cfg fuzzing");
    println!("\nWhat the corpus of the tracker reaches:");
    ensure!(census.status().context("cannot run cargo")?.success(), "the census failed");
    Ok(())
}

fn fuzz(store: &Store, target: Target, minutes: u32) -> Result<()> {
    let name = target.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let corpus = store.settings.checkout.join(CRATE).join("corpus").join(&name);
    if !corpus.exists() {
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        for seed in 0..SEEDS {
            let mut dice = Dice::of(seed);
            let bytes: Vec<u8> = (0..SIZE / 8).flat_map(|_| dice.bits().to_be_bytes()).collect();
            fs::write(corpus.join(format!("seed-{seed}")), bytes)?;
        }
    }
    let sanitizer = if target == Target::Capi { "address" } else { "none" };
    let mut cargo = FUZZ.cargo(store)?;
    // The stable compiler has what libFuzzer needs, but says so only to itself.
    cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(store.settings.checkout.join(CRATE));
    cargo.args(["fuzz", "run", "--sanitizer", sanitizer]);
    cargo.args(["--jobs", &machine::jobs().to_string(), &name, "--"]).args(OPTIONS);
    cargo.arg(format!("-max_total_time={}", u64::from(minutes) * 60));
    ensure!(cargo.status().context("cannot run cargo")?.success(), "{name}: a finding, see above");
    Ok(())
}
