// SPDX-License-Identifier: MIT OR Apache-2.0
//! Differences that a run has found, as JSON and as a list in Markdown.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use papr_unplug_differential::clause::Clause;
use papr_unplug_differential::tally::Tally;
use serde::{Deserialize, Serialize};

/// The lines before and after the list.
const BEGIN: &str = "<!-- Generated from tests/differential/differences.json by `cargo xtask differential --accept`; do not edit. -->\n";
const END: &str = "<!-- End of what is generated. -->\n";

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
    shows: String,
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
                shows: clause.shows().to_owned(),
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

    /// Returns the list.
    fn list(&self) -> String {
        let Self { stock, ours, sequences, alike, unexplained, .. } = self;
        let mut text = format!(
            "{sequences} random sequences in one run: {alike} were answered alike from beginning to end,\n\
             {unexplained} parted for no documented reason, the others as follows. From the first difference on nothing can be\n\
             compared, so each sequence counts once. Stock is {stock}, ours is built from\n{ours}.\n\n\
             | requirement | what differs | sequences | for example |\n|---|---|---|---|\n"
        );
        for Difference { requirement, shows, sequences, example } in &self.documented {
            let example = example.map_or_else(String::new, |seed| format!("seed {seed}"));
            let _ = writeln!(text, "| {requirement} | {shows} | {sequences} | {example} |");
        }
        text
    }

    /// Returns `text` with the list in its place. Fails if the reasons have changed since the run.
    pub(crate) fn placed(&self, text: &str) -> Result<String> {
        let said = self.documented.iter().map(|found| (&found.requirement[..], &found.shows[..]));
        ensure!(
            said.eq(Clause::ALL.map(|clause| (clause.id(), clause.shows()))),
            "the reasons have changed since these results: run `cargo xtask differential` again"
        );
        let (before, rest) = text.split_once(BEGIN).context("the README has no place for the list of differences")?;
        let (_, after) = rest.split_once(END).context("the README does not say where the list of differences ends")?;
        Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", self.list()))
    }
}
