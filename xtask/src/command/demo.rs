// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask demo`: shows what a host is told when guests refuse.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel, flavour::Flavour, guest_kernel::GuestKernel},
    cache::store::Store,
};
use anyhow::Result;
use papr_unplug_report::demo;
use papr_unplug_tests::story::scenario::Scenario;

/// Plays the scenarios of our own kernel, or those that need a distribution's programs.
pub(crate) fn run(store: &Store, pci: bool) -> Result<()> {
    let (artifacts, scenarios, file): (_, &[Scenario], _) = if pci {
        let kernel = GuestKernel::Debian(DebianKernel::Forky);
        (Artifacts::with_programs(store, &kernel)?, &Scenario::OF_DISTRIBUTION, "demo-pci.json")
    } else {
        (Artifacts::ensure(store, Flavour::Default)?, &Scenario::DEMONSTRATED, "demo.json")
    };
    demo::run(&artifacts.for_harness()?, scenarios, file, &|line| store.progress.say(line))
}
