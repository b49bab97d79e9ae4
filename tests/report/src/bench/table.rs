// SPDX-License-Identifier: MIT OR Apache-2.0

//! Table of measurements and their targets.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::{fs, path::Path};

/// One line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Bound>,
}

/// A limit for the value.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The largest permitted value.
    AtMost(f64),
    /// The smallest permitted value.
    AtLeast(f64),
}

impl Row {
    /// Returns a row without a target.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, target: None }
    }

    /// Sets the target.
    pub fn with_target(self, target: Bound) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Returns whether the value is within the target.
    pub fn is_met(&self) -> bool {
        match self.target {
            None => true,
            Some(Bound::AtMost(most)) => self.value <= most,
            Some(Bound::AtLeast(least)) => self.value >= least,
        }
    }

    /// Returns the row as a line of text.
    pub fn line(&self) -> String {
        let Self { what, value, unit, target } = self;
        let limit = match target {
            None => String::new(),
            Some(Bound::AtMost(most)) => format!("at most {most}"),
            Some(Bound::AtLeast(least)) => format!("at least {least}"),
        };
        let missed = if self.is_met() { "" } else { "  MISSED" };
        let digits = if *value < 10.0 { 2 } else { 1 };
        format!("{what:<58} {value:>10.digits$} {unit:<26} {limit}{missed}").trim_end().to_owned()
    }
}

/// Prints the rows, and writes them to `file` as JSON.
pub fn print(rows: &[Row], file: &Path) -> Result<()> {
    fs::write(file, serde_json::to_string_pretty(rows)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    rows.iter().for_each(|row| println!("{}", row.line()));
    println!("The table is in {}", file.display());
    Ok(())
}

/// Fails if a row misses its target.
pub fn check(rows: &[Row]) -> Result<()> {
    let missed: Vec<_> = rows.iter().filter(|row| !row.is_met()).map(|row| row.what.as_str()).collect();
    ensure!(missed.is_empty(), "these miss their targets: {}", missed.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_that_misses_its_target_says_so() {
        let row = |value| Row::new("idle connector", value, "bytes").with_target(Bound::AtMost(64.0));
        assert!(row(64.0).is_met() && !row(64.1).is_met());
        assert!(row(64.1).line().ends_with("at most 64  MISSED"));
        assert!(!Row::new("ratio", 9.9, "times").with_target(Bound::AtLeast(10.0)).is_met());
    }
}
