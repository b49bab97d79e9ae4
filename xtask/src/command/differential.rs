// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask differential` and `cargo xtask histories`: play random calls to VMMs, without a guest.

use crate::{
    artifacts::{
        qemu::{Qemu, bundle},
        source::Release,
    },
    cache::{Artifact, Store},
};
use anyhow::Result;
use papr_unplug_differential::histories::Histories;
use papr_unplug_report::differences::{self, Build, Sequences};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Differential {
    #[command(flatten)]
    sequences: Sequences,
    /// Compare with a stock QEMU that is built from the source of ours, instead of with Debian's
    #[arg(long)]
    same_source: bool,
    /// Instead of playing, take the results over into tests/differential/differences.json and packaging/qemu/README.md
    #[arg(long, exclusive = true)]
    accept: bool,
}

/// Plays sequences of calls to stock QEMU and to ours, and compares the answers.
pub(crate) fn run(store: &Store, arguments: &Differential) -> Result<()> {
    let checkout = &store.settings.checkout;
    if arguments.accept {
        return differences::accept(checkout);
    }
    let stock = if arguments.same_source { Qemu::Stock(Release::Stable) } else { Qemu::Debian };
    let [stock, ours] = store.ensure_all([&stock.recipe(), &Qemu::Ours(Release::Stable).recipe()])?;
    let [stock, ours] = [&stock, &ours].map(build);
    let mut task = store.progress.task("playing");
    differences::play(checkout, &stock, &ours, &arguments.sequences, &mut |line| task.at(line))
}

fn build(qemu: &Artifact) -> Build<'_> {
    Build { program: bundle::program(qemu), version: qemu.fact("version") }
}

/// Plays histories to the crate and to our QEMU, and accounts for every request.
pub(crate) fn histories(store: &Store, histories: &Histories) -> Result<()> {
    let ours = store.ensure(&Qemu::Ours(Release::Stable).recipe())?;
    let mut task = store.progress.task("playing");
    histories.play(&bundle::program(&ours), &mut |line| task.at(line))
}
