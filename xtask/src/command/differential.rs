// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask differential`: plays the same calls to stock QEMU and to ours, and explains every difference.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use papr_unplug_differential::program::Program;
use papr_unplug_differential::tally::Tally;
use papr_unplug_differential::vmm::Vmm;

use crate::artifacts::qemu::source::Line;
use crate::artifacts::qemu::{OurQemu, Qemu, bundle};
use crate::cache::store::{Held, Store};
use crate::host;

/// Plays that many sequences, from a first seed on.
pub(crate) fn run(store: &Store, first: u64, sequences: u64) -> Result<()> {
    let (stock, ours) = (store.ensure(&Qemu)?, store.ensure(&OurQemu::new(Line::Stable))?);
    let program = |qemu: &Held| Program::new(&qemu.path(bundle::PROGRAM), &qemu.path(bundle::DATA));
    store.progress.say(format!("==> {sequences} sequences on stock QEMU and on ours, from seed {first} on"));
    let tally = spread(first, sequences, |seeds| {
        Tally::of(seeds, &mut Vmm::start(&program(&stock))?, &mut Vmm::start(&program(&ours))?)
    })?;
    print!("{tally}");
    ensure!(tally.unexplained == 0, "{} sequences part for no documented reason", tally.unexplained);
    Ok(())
}

/// Spreads the seeds over this machine's processors.
fn spread(first: u64, sequences: u64, play: impl Fn(std::ops::Range<u64>) -> Result<Tally> + Sync) -> Result<Tally> {
    let shares = host::jobs() as u64;
    let share = |number: u64| first + sequences * number / shares..first + sequences * (number + 1) / shares;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..shares)
            .map(|number| {
                scope.spawn({
                    let play = &play;
                    move || play(share(number))
                })
            })
            .collect();
        workers.into_iter().try_fold(Tally::default(), |sum, worker| {
            Ok(sum.with(worker.join().map_err(|_| anyhow!("a thread panicked"))??))
        })
    })
}
