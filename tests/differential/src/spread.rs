// SPDX-License-Identifier: MIT OR Apache-2.0

//! Work on many seeds by several threads.

use anyhow::Result;
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

/// Distributes the seeds over threads, each with VMMs of its own, and hands what they have played to `add`.
pub fn spread<W, T: Send>(
    seeds: Range<u64>,
    begin: impl Fn() -> Result<W> + Sync,
    play: impl Fn(&mut W, Range<u64>) -> Result<T> + Sync,
    mut add: impl FnMut(T),
) -> Result<()> {
    let next = AtomicU64::new(seeds.start);
    let (sender, played) = mpsc::channel();
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..(PAIRS * jobs).min(MOST) {
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
            add(result.inspect_err(|_| next.store(seeds.end, Relaxed))?);
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
