// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask differential`: plays the same calls to stock QEMU and to ours, and compares the answers.

use crate::{
    artifacts::{
        qemu::{Qemu, bundle},
        source::Release,
    },
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

/// The number of seeds that a thread takes at a time.
const SHARE: u64 = 20;
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
    let begin = || Ok((Vmm::start(&bundle::program(&stock))?, Vmm::start(&bundle::program(&ours))?));
    let play = |(stock, ours): &mut (Vmm, Vmm), seeds| Tally::of(seeds, stock, ours);
    let mut sum = Tally::default();
    spread(store, first..first + sequences, begin, play, |tally| {
        sum = std::mem::take(&mut sum).with(tally);
        format!("{} of {sequences}", sum.sequences)
    })?;
    differences::finish(&store.settings.checkout, &sum, first, stock.fact("version"), ours.fact("version"))
}

/// Distributes the seeds over threads, each with VMMs of its own, and hands what they have played to `add`, which says
/// how far that is.
pub(crate) fn spread<W, T: Send>(
    store: &Store,
    seeds: Range<u64>,
    begin: impl Fn() -> Result<W> + Sync,
    play: impl Fn(&mut W, Range<u64>) -> Result<T> + Sync,
    mut add: impl FnMut(T) -> String,
) -> Result<()> {
    let next = AtomicU64::new(seeds.start);
    let (sender, played) = mpsc::channel();
    let mut task = store.progress.task("playing");
    thread::scope(|scope| {
        for _ in 0..(PAIRS * machine::jobs()).min(MOST) {
            let (sender, next, begin, play) = (sender.clone(), &next, &begin, &play);
            let end = seeds.end;
            scope.spawn(move || {
                let played = play_shares(next, end, begin, play, &sender);
                // The receiver is gone if another thread has failed.
                let _ = played.or_else(|error| sender.send(Err(error)));
            });
        }
        drop(sender);
        for result in played {
            task.at(&add(result.inspect_err(|_| next.store(seeds.end, Relaxed))?));
        }
        Ok(())
    })
}

fn play_shares<W, T>(
    next: &AtomicU64,
    end: u64,
    begin: impl Fn() -> Result<W>,
    play: impl Fn(&mut W, Range<u64>) -> Result<T>,
    sender: &Sender<Result<T>>,
) -> Result<()> {
    let mut vmms = begin()?;
    loop {
        let from = next.fetch_add(SHARE, Relaxed);
        if from >= end {
            return Ok(());
        }
        if sender.send(play(&mut vmms, from..(from + SHARE).min(end))).is_err() {
            return Ok(());
        }
    }
}
