// SPDX-License-Identifier: MIT OR Apache-2.0

//! Differences between stock QEMU and ours under random calls, as JSON and as a list in Markdown.

use crate::markdown;
use anyhow::{Context, Result, ensure};
use papr_unplug_differential::{clause::Clause, program::Program, spread::spread, tally::Tally, vmm::Vmm};
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, fs, mem, path::Path};

/// The line before the list.
const BEGIN: &str = "<!-- Generated from tests/differential/differences.json by `cargo xtask differential --accept`; do not edit. -->\n";

/// The results of this machine.
const RESULTS: &str = "target/differential.json";
/// The accepted results, which the list of differences is made of.
const ACCEPTED: &str = "tests/differential/differences.json";
/// The page with that list.
const README: &str = "packaging/qemu/README.md";

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Sequences {
    /// The number of sequences of calls
    #[arg(long, default_value_t = 1000)]
    sequences: u64,
    /// The seed of the first sequence
    #[arg(long, default_value_t = 0)]
    first: u64,
}

/// A build of QEMU.
#[derive(Debug)]
pub struct Build<'a> {
    /// The program.
    pub program: Program,
    /// Its version.
    pub version: &'a str,
}

/// Plays the sequences to both, prints the tally, and writes it to `target/differential.json`. Fails if a difference is
/// not documented. Hands to `at` how far that is.
pub fn play(
    checkout: &Path,
    stock: &Build<'_>,
    ours: &Build<'_>,
    &Sequences { sequences, first }: &Sequences,
    at: &mut dyn FnMut(&str),
) -> Result<()> {
    let begin = || Ok((Vmm::start(&stock.program)?, Vmm::start(&ours.program)?));
    let compare = |(stock, ours): &mut (Vmm, Vmm), seeds| Tally::of(seeds, stock, ours);
    let mut tally = Tally::default();
    spread(first..first + sequences, begin, compare, |share| {
        tally = mem::take(&mut tally).with(share);
        at(&format!("{} of {sequences}", tally.sequences));
    })?;
    print!("{tally}");
    let file = checkout.join(RESULTS);
    fs::create_dir_all(file.with_file_name(""))?;
    Differences::of(&tally, first, stock.version, ours.version).write(&file)?;
    println!("The same for programs: {}", file.display());
    ensure!(
        tally.unexplained == 0,
        "{} sequences were answered differently for no documented reason",
        tally.unexplained
    );
    Ok(())
}

/// Takes this machine's results over into the repository.
pub fn accept(checkout: &Path) -> Result<()> {
    let found = Differences::read(&checkout.join(RESULTS)).context("run `cargo xtask differential` first")?;
    found.write(&checkout.join(ACCEPTED))?;
    let readme = checkout.join(README);
    let text = fs::read_to_string(&readme)?;
    fs::write(&readme, found.placed(&text)?).with_context(|| format!("cannot write {README}"))
}

/// The results of a run.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Differences {
    stock: String,
    ours: String,
    first: u64,
    sequences: u64,
    /// The number of sequences that were answered alike from beginning to end.
    alike: u64,
    /// The number of sequences that were answered differently for no documented reason.
    unexplained: u64,
    documented: Vec<Difference>,
}

/// A documented reason for different answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Difference {
    requirement: String,
    sequences: u64,
    /// The seed of the first sequence with this difference.
    example: Option<u64>,
}

impl Differences {
    pub(crate) fn of(tally: &Tally, first: u64, stock: &str, ours: &str) -> Self {
        let documented = Clause::ALL.map(|clause| {
            let found = tally.documented.get(&clause);
            Difference {
                requirement: clause.id().to_owned(),
                sequences: found.map_or(0, |(count, _)| *count),
                example: found.map(|(_, seed)| *seed),
            }
        });
        let Tally { sequences, alike, unexplained, .. } = *tally;
        let (stock, ours, documented) = (stock.to_owned(), ours.to_owned(), documented.into());
        Self { stock, ours, first, sequences, alike, unexplained, documented }
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is malformed", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Returns the list. Fails if results are for a reason that no longer exists.
    fn list(&self) -> Result<String> {
        let Self { stock, ours, sequences, alike, unexplained, .. } = self;
        let mut text = format!(
            "{sequences} random sequences in one run: {alike} were answered alike from beginning to end,\n\
             {unexplained} were answered differently for no documented reason, the others as follows. A sequence is compared up\n\
             to its first difference, so each counts once. Stock is {stock}, ours is built from\n{ours}.\n\n\
             | requirement | what differs | sequences | for example |\n|---|---|---|---|\n"
        );
        // Reasons that are newer than the run have no results.
        let mut results = self.documented.iter().peekable();
        for clause in Clause::ALL {
            let result = results.next_if(|result| result.requirement == clause.id());
            let count = result.map_or_else(|| "not run".to_owned(), |result| result.sequences.to_string());
            let example =
                result.and_then(|result| result.example).map(|seed| format!("seed {seed}")).unwrap_or_default();
            let _ = writeln!(text, "| {} | {} | {count} | {example} |", clause.id(), clause.shows());
        }
        let stale = results.next().map(|result| result.requirement.as_str());
        ensure!(stale.is_none(), "{} has results for {stale:?} out of order: run `cargo xtask differential`", ACCEPTED);
        Ok(text)
    }

    /// Returns `text` with the list in its place.
    pub(crate) fn placed(&self, text: &str) -> Result<String> {
        markdown::replaced(text, BEGIN, &self.list()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_differences_is_made_of_the_results() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let found = Differences::read(&checkout.join(ACCEPTED)).unwrap();
        let text = fs::read_to_string(checkout.join(README)).unwrap();
        assert_eq!(found.placed(&text).unwrap(), text, "run `cargo xtask differential --accept`");
    }
}
