// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask reasons`: triggers every reason of the protocol on real kernels, and records what the host was told.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel, flavour::Flavour, guest_kernel::GuestKernel},
    cache::Store,
    command::{pci, test},
};
use anyhow::{Context, Result};
use papr_unplug_report::reasons;
use papr_unplug_tests::report::occurrence;
use std::fs;

/// The arguments that select the tests.
const TESTS: [&str; 6] = ["--package", "papr-unplug-tests", "--test", "reasons", "--run-ignored", "all"];
/// The tests that only the debug kernel can pass.
const DEBUG: &str = "test(/^debug::/)";

/// The tests about PCI devices that are refused.
const PCI: &str = "test(/_is_refused_/)";

/// Runs the tests that trigger reasons, on the kernels that have what they need.
pub(crate) fn run(store: &Store) -> Result<()> {
    let seen = occurrence::directory();
    if seen.exists() {
        fs::remove_dir_all(&seen).context("cannot remove the old results")?;
    }
    for (flavour, filter) in [(Flavour::Default, format!("not {DEBUG}")), (Flavour::Debug, DEBUG.to_owned())] {
        let artifacts = Artifacts::ensure(store, flavour)?;
        let arguments: Vec<&str> = TESTS.iter().copied().chain(["-E", &filter]).collect();
        test::nextest(store, (&artifacts, test::FILE), &arguments, &[])?;
    }
    pci::run(store, &GuestKernel::Debian(DebianKernel::Forky), &["-E", PCI].map(str::to_owned))?;
    reasons::finish(&store.settings.checkout)
}
