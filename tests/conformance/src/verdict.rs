// SPDX-License-Identifier: MIT OR Apache-2.0

//! Verdicts about clauses.

use crate::clause::Half;
use anyhow::Result;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// Verdict about a clause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// A scenario broke it.
    Fail {
        /// The scenario.
        scenario: String,
        /// The calls or answers that broke it.
        because: String,
    },
    /// Every scenario that shows it held.
    Pass,
    /// Nothing was seen of it.
    #[default]
    NotShown,
}

/// Verdicts by the names of clauses. What is missing is not shown.
#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeMap<String, Verdict>);

/// Verdicts about all clauses of one guest or one VMM.
#[derive(Clone, Debug, Serialize)]
pub struct Verdicts {
    /// The guest or the VMM, as the user named it.
    pub about: String,
    clauses: Vec<Row>,
}

/// Verdict about one clause.
#[derive(Clone, Debug, Serialize)]
struct Row {
    clause: String,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Verdict {
    /// Returns the verdict from two scenarios about the same clause: a failure outweighs what held.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (fail @ Self::Fail { .. }, _) | (_, fail @ Self::Fail { .. }) => fail,
            (Self::Pass, _) | (_, Self::Pass) => Self::Pass,
            (Self::NotShown, Self::NotShown) => Self::NotShown,
        }
    }
}

impl Seen {
    /// Adds a verdict to those about a clause.
    pub fn add(&mut self, clause: &str, verdict: Verdict) {
        let before = self.0.remove(clause).unwrap_or_default();
        self.0.insert(clause.to_owned(), before.and(verdict));
    }

    /// Returns the clauses that were broken.
    pub fn broken(&self) -> Vec<&str> {
        let is_broken = |verdict: &Verdict| matches!(verdict, Verdict::Fail { .. });
        self.0.iter().filter(|(_, verdict)| is_broken(verdict)).map(|(clause, _)| clause.as_str()).collect()
    }
}

impl Verdicts {
    /// Lists a verdict for each clause of this half.
    pub fn of(half: Half, about: &str, Seen(mut seen): Seen) -> Result<Self> {
        let row = |clause: String| Row { verdict: seen.remove(&clause).unwrap_or_default(), clause };
        let clauses = half.clauses()?.into_iter().map(row).collect();
        anyhow::ensure!(seen.is_empty(), "no such clauses: {:?}", seen.keys());
        Ok(Self { about: about.to_owned(), clauses })
    }

    /// Returns the clauses and the verdicts about them, in the order of the specification.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        self.clauses.iter().map(|row| (row.clause.as_str(), &row.verdict))
    }

    /// Returns whether a clause was broken.
    pub fn has_failed(&self) -> bool {
        self.iter().any(|(_, verdict)| matches!(verdict, Verdict::Fail { .. }))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail { .. } => "fail",
            Self::Pass => "pass",
            Self::NotShown => "not shown",
        })
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.about)?;
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for (clause, verdict) in self.iter() {
            writeln!(f, "{clause}  {verdict}")?;
            *counts.entry(verdict.to_string()).or_default() += 1;
            if let Verdict::Fail { scenario, because } = verdict {
                for line in scenario.lines().chain(because.lines()) {
                    writeln!(f, "           {}", line.trim())?;
                }
            }
        }
        let count = |word: &str| counts.get(word).copied().unwrap_or_default();
        write!(f, "{} pass, {} fail, {} not shown", count("pass"), count("fail"), count("not shown"))
    }
}

/// Writes the verdicts of several as one Markdown table, the clauses in rows. A clause that is shown of none has no row.
pub fn table(columns: &[Verdicts]) -> String {
    let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(["clause"].into_iter().chain(columns.iter().map(|column| column.about.as_str())).collect());
    text += &format!("|{}\n", "---|".repeat(columns.len() + 1));
    let Some(first) = columns.first() else { return text };
    for (place, (clause, _)) in first.iter().enumerate() {
        let verdicts: Vec<&Verdict> = columns.iter().map(|column| &column.clauses[place].verdict).collect();
        if verdicts.iter().any(|verdict| **verdict != Verdict::NotShown) {
            let words: Vec<String> = verdicts.iter().map(ToString::to_string).collect();
            text += &row([clause].into_iter().chain(words.iter().map(String::as_str)).collect());
        }
    }
    text
}
