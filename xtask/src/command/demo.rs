// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask demo`: shows what a host is told when guests refuse.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel, flavour::Flavour, guest_kernel::GuestKernel},
    cache::Store,
    command::test::Accel,
};
use anyhow::Result;
use papr_unplug_report::demo;
use papr_unplug_tests::{
    pairing::Pairing,
    report::{combination::Combination, demo::PAIRINGS},
    story::scenario::Scenario,
};

/// Plays the scenarios of our own kernel, or those that need a distribution's programs. With another kernel than the
/// default, plays the former to guests with that kernel and without the module, beside stock ones.
pub(crate) fn run(store: &Store, pci: bool, kernel: Flavour, accel: Accel) -> Result<()> {
    let say = |line: &str| store.progress.say(line);
    if pci {
        let kernel = GuestKernel::Debian(DebianKernel::Forky);
        let artifacts = Artifacts::with_programs(store, &kernel)?;
        let harness = artifacts.for_harness()?;
        let combinations = PAIRINGS.map(|pairing| Combination::new(&harness, pairing));
        return demo::run(&combinations, &Scenario::OF_DISTRIBUTION, "demo-pci.json", &say);
    }
    let mut artifacts = Artifacts::ensure(store, Flavour::Default)?;
    accel.add_to(&mut artifacts, store)?;
    let harness = artifacts.for_harness()?;
    let suffix = if accel == Accel::Tcg { "" } else { "-kvm" };
    if kernel == Flavour::Default {
        let combinations = PAIRINGS.map(|pairing| Combination::new(&harness, pairing));
        return demo::run(&combinations, &Scenario::DEMONSTRATED, &format!("demo{suffix}.json"), &say);
    }
    let mut others = Artifacts::ensure(store, kernel)?;
    accel.add_to(&mut others, store)?;
    let other_harness = others.for_harness()?;
    let of = |pairing| {
        let other = Combination { kernel: Some(kernel.name()), ..Combination::new(&other_harness, pairing) };
        [Combination::new(&harness, pairing), other]
    };
    let combinations = [Pairing::STOCK, Pairing::STOCK_ON_OURS].map(of);
    demo::run(
        combinations.as_flattened(),
        &Scenario::DEMONSTRATED,
        &format!("demo-{}{suffix}.json", kernel.name()),
        &say,
    )
}
