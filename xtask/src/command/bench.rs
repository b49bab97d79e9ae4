// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask bench`: cost of this project's parts, compared with their targets and with stock parts.

use crate::{
    artifacts::{
        Artifacts,
        flavour::Flavour,
        qemu::{Qemu, bundle},
        source::Release,
    },
    cache::Store,
    roots::QEMU_ROOT,
    run::{BUILD, Sandbox, WORK, machine},
};
use anyhow::Result;
use clap::ValueEnum;
use papr_unplug_differential::instructions;
use papr_unplug_report::bench::{guest, host, kernels, qemu};
use std::iter;

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
        Bench::Host => {
            machine::require(&store.progress, machine::TEST_TOOLS)?;
            host::run(|| instructions_per_call(store), &file("host"))
        }
        Bench::Guest => {
            let artifacts = Artifacts::ensure(store, Flavour::Default)?;
            guest::run(&artifacts.for_harness()?, &file("guest"), &say)
        }
        Bench::Kernels => {
            let stock = Artifacts::ensure(store, Flavour::Default)?;
            let flavours = [Flavour::Hints, Flavour::Answers];
            let patched = flavours.iter().map(|flavour| Artifacts::ensure(store, *flavour));
            let patched = patched.collect::<Result<Vec<_>>>()?;
            let named = iter::zip(flavours, &patched).map(|(flavour, held)| Ok((flavour.name(), held.for_harness()?)));
            kernels::run(&stock.for_harness()?, &named.collect::<Result<Vec<_>>>()?, &file("kernels"), &say)
        }
        Bench::Qemu => {
            let artifacts = Artifacts::ensure(store, Flavour::Default)?;
            let [stock, ours] =
                store.ensure_all([&Qemu::Stock(Release::Stable).recipe(), &Qemu::Ours(Release::Stable).recipe()])?;
            let mut harness = artifacts.for_harness()?;
            harness.qemu_stock = stock.file();
            qemu::run(&harness, &bundle::program(&stock), &bundle::program(&ours), &file("qemu"), &say)
        }
    }
}

/// Returns the number of instructions that a set-indicator call takes in a stock QEMU that is built here.
fn instructions_per_call(store: &Store) -> Result<f64> {
    let [root, qemu] = store.ensure_all([&QEMU_ROOT.recipe(), &Qemu::Stock(Release::Stable).recipe()])?;
    let dir = tempfile::tempdir()?;
    let sandbox = Sandbox::new(&root.tree()).bind_read_only(&qemu.dir, BUILD).bind(dir.path(), WORK);
    let words = [format!("{BUILD}/{}", bundle::BINARY), "-L".to_owned(), format!("{BUILD}/{}", bundle::DATA)];
    instructions::per_set_indicator(sandbox.command(["valgrind"]), &words, dir.path(), WORK)
}
