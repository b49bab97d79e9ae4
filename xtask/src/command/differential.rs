// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask differential`: plays the same calls to stock QEMU and to ours, and explains every difference.

mod differences;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context, Result, ensure};
use papr_unplug_differential::program::Program;
use papr_unplug_differential::tally::Tally;
use papr_unplug_differential::vmm::Vmm;

use crate::artifacts::qemu::build::QemuBuild;
use crate::artifacts::qemu::source::Release;
use crate::artifacts::qemu::{OurQemu, Qemu, bundle};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::command::differential::differences::Differences;
use crate::host;

/// Where the results of this machine are.
const RESULTS: &str = "target/differential.json";
/// Where the results are that the list of differences is made of.
const ACCEPTED: &str = "tests/differential/differences.json";
/// Where that list is.
const README: &str = "packaging/qemu/README.md";

/// How many sequences are played before the next are taken.
const SHARE: u64 = 100;
/// Pairs of VMMs to a processor: each spends half of its time waking one another. And as many as may be, of 0.2 GB each.
const PAIRS: usize = 2;
const MOST: usize = 8;

/// What is played.
#[derive(Debug, clap::Args)]
pub(crate) struct Differential {
    /// How many sequences of calls.
    #[arg(long, default_value_t = 1000)]
    sequences: u64,
    /// The seed of the first.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Compare with a stock QEMU that is built here from the source that ours is, instead of with Debian's.
    #[arg(long)]
    same_source: bool,
    /// Write the results of the last run to tests/differential/differences.json, and the list of differences in
    /// packaging/qemu/README.md from them, instead of playing anything.
    #[arg(long, exclusive = true)]
    pub(crate) accept: bool,
}

/// Plays the sequences.
pub(crate) fn run(store: &Store, arguments: &Differential) -> Result<()> {
    let stock = QemuBuild::stock(Release::Stable);
    let stock = store.ensure(if arguments.same_source { &stock as &dyn Recipe } else { &Qemu })?;
    let ours = store.ensure(&OurQemu::new(Release::Stable))?;
    let program = |qemu: &Artifact| Program::new(&qemu.path(bundle::PROGRAM), &qemu.path(bundle::DATA));
    let (first, sequences) = (arguments.first, arguments.sequences);
    store.progress.say(format!("==> {sequences} sequences on stock QEMU and on ours, from seed {first} on"));
    let tally =
        spread(store, first..first + sequences, || Ok((Vmm::start(&program(&stock))?, Vmm::start(&program(&ours))?)))?;
    print!("{tally}");
    let file = store.settings.checkout.join(RESULTS);
    fs::create_dir_all(file.with_file_name(""))?;
    Differences::of(&tally, first, version(&stock), version(&ours)).write(&file)?;
    println!("The same for programs: {}", file.display());
    ensure!(tally.unexplained == 0, "{} sequences part for no documented reason", tally.unexplained);
    Ok(())
}

/// Takes this machine's results for everybody's.
pub(crate) fn accept(checkout: &Path) -> Result<()> {
    let found = Differences::read(&checkout.join(RESULTS)).context("run `cargo xtask differential` first")?;
    found.write(&checkout.join(ACCEPTED))?;
    let readme = checkout.join(README);
    let text = fs::read_to_string(&readme)?;
    fs::write(&readme, found.placed(&text)?).with_context(|| format!("cannot write {README}"))
}

fn version(qemu: &Artifact) -> &str {
    qemu.manifest.facts.get("version").map(String::as_str).unwrap_or_default()
}

/// Has the sequences played by some pairs at a time, each of which takes the next few when it is done.
fn spread(store: &Store, seeds: Range<u64>, pair: impl Fn() -> Result<(Vmm, Vmm)> + Sync) -> Result<Tally> {
    let next = AtomicU64::new(seeds.start);
    let (sender, tallies) = mpsc::channel();
    let mut sum = Tally::default();
    let mut task = store.progress.task("playing");
    thread::scope(|scope| {
        for _ in 0..(PAIRS * host::jobs()).min(MOST) {
            let (sender, seeds, next, pair) = (sender.clone(), &seeds, &next, &pair);
            scope.spawn(move || {
                let played = play(seeds, next, pair, &sender);
                // Nobody listens any more where another pair has failed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_differences_is_made_of_the_results() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let found = Differences::read(&checkout.join(ACCEPTED)).unwrap();
        let text = fs::read_to_string(checkout.join(README)).unwrap();
        assert_eq!(found.placed(&text).unwrap(), text, "run `cargo xtask differential --accept`");
    }
}
