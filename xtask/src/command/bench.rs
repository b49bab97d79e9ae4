// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask bench`: cost of this project's parts, compared with their targets and with stock parts.

mod host;

use crate::{
    artifacts::{
        Artifacts,
        flavour::Flavour,
        qemu::{Qemu, bundle},
        source::Release,
    },
    cache::store::Store,
};
use anyhow::Result;
use clap::ValueEnum;
use papr_unplug_report::bench::{guest, kernels, qemu};

/// The part that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// The host crate.
    Host,
    /// The guest module.
    Guest,
    /// Linux with this project's patches.
    Kernels,
    /// QEMU with this project's patches.
    Qemu,
}

/// Measures, prints the table, and writes it to `target/bench-PART.json`. Fails if a target is missed.
pub(crate) fn run(store: &Store, bench: Bench) -> Result<()> {
    let file = |part: &str| store.settings.checkout.join(format!("target/bench-{part}.json"));
    let say = |line: &str| store.progress.say(line);
    match bench {
        Bench::Host => host::run(store, &file("host")),
        Bench::Guest => {
            let artifacts = Artifacts::ensure(store, Flavour::Default)?;
            guest::run(&artifacts.for_harness()?, &file("guest"), &say)
        }
        Bench::Kernels => {
            let of = |flavour| Artifacts::ensure(store, flavour)?.for_harness();
            let stock = of(Flavour::Default)?;
            let patched = [Flavour::Hints, Flavour::Answers].map(|flavour| Ok((flavour.name(), of(flavour)?)));
            let patched = patched.into_iter().collect::<Result<Vec<_>>>()?;
            kernels::run(&stock, &patched, &file("kernels"), &say)
        }
        Bench::Qemu => {
            let artifacts = Artifacts::ensure(store, Flavour::Default)?;
            let [stock, ours] = store.ensure_all([&Qemu::Stock(Release::Stable), &Qemu::Ours(Release::Stable)])?;
            let mut harness = artifacts.for_harness()?;
            harness.qemu_stock = stock.path(bundle::PROGRAM);
            qemu::run(&harness, &bundle::program(&stock), &bundle::program(&ours), &file("qemu"), &say)
        }
    }
}
