// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask differential`: plays the same calls to stock QEMU and to ours, and compares the answers.

use crate::{
    artifacts::qemu::{Qemu, bundle, source::Release},
    cache::store::Store,
    run::machine,
};
use anyhow::Result;
use papr_unplug_differential::{tally::Tally, vmm::Vmm};
use papr_unplug_report::differences;
use std::{
    ops::Range,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Sender},
    },
    thread,
};

/// The number of sequences that a pair takes at a time.
const SHARE: u64 = 100;
/// Pairs of VMMs for each processor, because each VMM waits for the other half of the time; and the most pairs, of 0.2
/// GB each.
const PAIRS: usize = 2;
const MOST: usize = 8;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Differential {
    /// The number of sequences of calls
    #[arg(long, default_value_t = 1000)]
    sequences: u64,
    /// The seed of the first sequence
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Compare with a stock QEMU that is built from the source of ours, instead of with Debian's
    #[arg(long)]
    same_source: bool,
    /// Instead of playing, take the results over into tests/differential/differences.json and packaging/qemu/README.md
    #[arg(long, exclusive = true)]
    pub(crate) accept: bool,
}

/// Plays the sequences.
pub(crate) fn run(store: &Store, arguments: &Differential) -> Result<()> {
    let stock = if arguments.same_source { Qemu::Stock(Release::Stable) } else { Qemu::Debian };
    let [stock, ours] = store.ensure_all([&stock, &Qemu::Ours(Release::Stable)])?;
    let (first, sequences) = (arguments.first, arguments.sequences);
    store.progress.say(format!("==> {sequences} sequences on stock QEMU and on ours, from seed {first} on"));
    let tally = spread(store, first..first + sequences, || {
        Ok((Vmm::start(&bundle::program(&stock))?, Vmm::start(&bundle::program(&ours))?))
    })?;
    differences::finish(&store.settings.checkout, &tally, first, stock.fact("version"), ours.fact("version"))
}

/// Distributes the sequences over pairs of VMMs that run at the same time.
fn spread(store: &Store, seeds: Range<u64>, pair: impl Fn() -> Result<(Vmm, Vmm)> + Sync) -> Result<Tally> {
    let next = AtomicU64::new(seeds.start);
    let (sender, tallies) = mpsc::channel();
    let mut sum = Tally::default();
    let mut task = store.progress.task("playing");
    thread::scope(|scope| {
        for _ in 0..(PAIRS * machine::jobs()).min(MOST) {
            let (sender, seeds, next, pair) = (sender.clone(), &seeds, &next, &pair);
            scope.spawn(move || {
                let played = play(seeds, next, pair, &sender);
                // The receiver is gone if another pair has failed.
                let _ = played.or_else(|error| sender.send(Err(error)));
            });
        }
        drop(sender);
        for tally in tallies {
            sum = std::mem::take(&mut sum).with(tally.inspect_err(|_| next.store(seeds.end, Relaxed))?);
            task.at(&format!("{} of {}", sum.sequences, seeds.end - seeds.start));
        }
        Ok(sum)
    })
}

fn play(
    seeds: &Range<u64>,
    next: &AtomicU64,
    pair: impl Fn() -> Result<(Vmm, Vmm)>,
    sender: &Sender<Result<Tally>>,
) -> Result<()> {
    let (mut stock, mut ours) = pair()?;
    loop {
        let begin = next.fetch_add(SHARE, Relaxed);
        if begin >= seeds.end {
            return Ok(());
        }
        let share = begin..(begin + SHARE).min(seeds.end);
        if sender.send(Tally::of(share, &mut stock, &mut ours)).is_err() {
            return Ok(());
        }
    }
}
