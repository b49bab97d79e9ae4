// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts of the differences over many sequences.

use crate::{
    clause::Clause,
    compare::{Difference, compare},
    party::Party,
    sequence::of_seed,
    step::Step,
};
use anyhow::{Context as _, Result};
use std::{collections::BTreeMap, fmt, ops::Range};

/// The number of unexplained differences that are kept in full.
const KEPT: usize = 10;

/// The results of comparing two parties.
#[derive(Debug, Default)]
pub struct Tally {
    /// Sequences played.
    pub sequences: u64,
    /// Sequences with the same answers from beginning to end.
    pub alike: u64,
    /// For each requirement that explains a difference, the number of sequences and the lowest seed.
    pub documented: BTreeMap<Clause, (u64, u64)>,
    /// Sequences with a difference that no requirement explains.
    pub unexplained: u64,
    /// The first unexplained differences, with their seeds.
    pub bugs: Vec<(u64, Difference)>,
}

impl Tally {
    /// Compares two parties on the sequences of these seeds.
    pub fn of(seeds: Range<u64>, first: &mut dyn Party, second: &mut dyn Party) -> Result<Self> {
        Self::of_sequences(seeds, of_seed, first, second)
    }

    /// Compares two parties on the sequences that `sequence` makes of these seeds.
    pub fn of_sequences(
        seeds: Range<u64>,
        sequence: impl Fn(u64) -> Vec<Step>,
        first: &mut dyn Party,
        second: &mut dyn Party,
    ) -> Result<Self> {
        let mut tally = Self::default();
        for seed in seeds {
            let found = compare(&sequence(seed), first, second).with_context(|| format!("sequence {seed}"))?;
            tally.count(seed, found);
        }
        Ok(tally)
    }

    /// Adds another tally.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.sequences += other.sequences;
        self.alike += other.alike;
        self.unexplained += other.unexplained;
        for (clause, (count, seed)) in other.documented {
            let (sum, first) = self.documented.entry(clause).or_insert((0, seed));
            (*sum, *first) = (*sum + count, seed.min(*first));
        }
        self.bugs.extend(other.bugs);
        self.bugs.sort_by_key(|(seed, _)| *seed);
        self.bugs.truncate(KEPT);
        self
    }

    fn count(&mut self, seed: u64, found: Option<Difference>) {
        self.sequences += 1;
        match found {
            None => self.alike += 1,
            Some(Difference { clause: Some(clause), .. }) => self.documented.entry(clause).or_insert((0, seed)).0 += 1,
            Some(difference) => {
                self.unexplained += 1;
                if self.bugs.len() < KEPT {
                    self.bugs.push((seed, difference));
                }
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9}  sequences", self.sequences)?;
        writeln!(f, "{:>9}  answered alike from beginning to end", self.alike)?;
        for (clause, (count, seed)) in &self.documented {
            writeln!(f, "{count:>9}  part as {} says: {} (first: {seed})", clause.id(), clause.shows())?;
        }
        writeln!(f, "{:>9}  part for no documented reason", self.unexplained)?;
        self.bugs.iter().try_for_each(|(seed, difference)| writeln!(f, "\nsequence {seed}:\n{difference}"))
    }
}
