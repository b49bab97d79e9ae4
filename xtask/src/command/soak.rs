// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask soak`: sends thousands of requests to a guest under stress. Each must end exactly once.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel, flavour::Flavour, guest_kernel::GuestKernel},
    cache::store::Store,
};
use anyhow::Result;
use clap::ValueEnum as _;
use papr_unplug_tests::soak::{self, session::BootCpus};
use std::time::Duration;

/// Kernel of the guests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    /// One that is built here, or the user's in its place.
    Ours(Flavour),
    /// One that Debian has built.
    Debian(DebianKernel),
}

impl Kernel {
    /// Returns the kernel of this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let ours = Flavour::from_str(name, false).map(Self::Ours);
        ours.or_else(|_| DebianKernel::from_str(name, false).map(Self::Debian)).map_err(|_| {
            "neither `cargo xtask test --kernel` nor `cargo xtask kernels` knows this kernel; see their --help"
                .to_owned()
        })
    }
}

/// Soaks for this many minutes, and prints the summary. With `smp` guests boot with four CPUs.
pub(crate) fn run(store: &Store, kernel: Kernel, smp: bool, minutes: u64, seed: u64) -> Result<()> {
    let kernel = match kernel {
        Kernel::Ours(flavour) => GuestKernel::chosen(&store.settings, flavour),
        Kernel::Debian(kernel) => GuestKernel::Debian(kernel),
    };
    let cpus = if smp { BootCpus::Four } else { BootCpus::One };
    let artifacts = Artifacts::with(store, &kernel)?;
    let say = |line: &str| store.progress.say(line);
    say(&format!("soaking for {minutes} minutes; --seed {seed} repeats its random choices"));
    let summary = soak::run(&artifacts.for_harness()?, cpus, Duration::from_secs(60 * minutes), seed, &say)?;
    print!("{summary}");
    println!("Each request ended once, and no guest's kernel has complained.");
    Ok(())
}
