// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found on one kernel.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use papr_unplug_tests::demo::Row;
use papr_unplug_tests::pairing::Side;
use papr_unplug_tests::survey::Survey;
use serde::{Deserialize, Serialize};

/// One kernel's results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// As `cargo xtask kernels` names it.
    pub(crate) kernel: String,
    /// Debian's version of the package.
    pub(crate) version: String,
    /// The major version of the gcc that it and the module were built with.
    pub(crate) gcc: String,
    pub(crate) survey: Survey,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) suite: Suite,
}

/// What one scenario came to, with the stock guest and with the module, on stock QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) stock: Told,
    pub(crate) ours: Told,
}

/// What the host was told, and how asking again ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) outcome: String,
    pub(crate) retry: Option<String>,
}

/// The conformance tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suite {
    pub(crate) tests: u32,
    pub(crate) failed: u32,
    pub(crate) seconds: u32,
}

impl Suite {
    /// Reads nextest's JUnit report.
    pub(crate) fn read(junit: &str) -> Option<Self> {
        let line = junit.lines().find(|line| line.starts_with("<testsuites "))?;
        let attribute = |name: &str| line.split_once(&format!(" {name}=\""))?.1.split('"').next();
        let number = |name| attribute(name)?.parse::<u32>().ok();
        let seconds: f64 = attribute("time")?.parse().ok()?;
        // CAST: A suite takes minutes.
        Some(Self { tests: number("tests")?, failed: number("failures")? + number("errors")?, seconds: seconds as u32 })
    }
}

/// The scenarios of a demonstration, each with both guests.
pub(crate) fn scenarios(rows: &[Row]) -> Vec<Scenario> {
    let told = |row: &Row| Told { outcome: row.outcome.to_string(), retry: row.retry.map(|retry| retry.to_string()) };
    let stock = rows.iter().filter(|row| row.guest == Side::Stock);
    stock
        .map(|row| {
            let ours = rows.iter().find(|other| other.guest == Side::Ours && other.scenario == row.scenario);
            Scenario {
                name: row.scenario.asked().to_owned(),
                stock: told(row),
                ours: ours.map(told).unwrap_or_default(),
            }
        })
        .collect()
}

/// All results in a file; none if there is no such file.
pub(crate) fn read(file: &Path) -> Result<Vec<Record>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&fs::read_to_string(file)?).with_context(|| format!("{} is malformed", file.display()))
}

/// Puts one kernel's results among the others, in the place of older ones.
pub(crate) fn keep(file: &Path, record: Record) -> Result<()> {
    let mut records = read(file)?;
    records.retain(|other| other.kernel != record.kernel);
    records.push(record);
    records.sort_by(|a, b| series(a).cmp(&series(b)).then(a.kernel.cmp(&b.kernel)));
    fs::write(file, written(&records)?).with_context(|| format!("cannot write {}", file.display()))
}

/// As a file.
pub(crate) fn written(records: &[Record]) -> Result<String> {
    Ok(serde_json::to_string_pretty(records)? + "\n")
}

/// The numbers that a version begins with, by which kernels are in order.
fn series(record: &Record) -> Vec<u32> {
    let begin = record.version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    begin.split('.').filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suite_is_read_from_nextests_report() {
        let junit = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"38\" skipped=\"0\" failures=\"1\" \
                     errors=\"1\" timestamp=\"2026-11-25T11:56:04.480+00:00\" time=\"454.684\">\n";
        assert_eq!(Suite::read(junit), Some(Suite { tests: 38, failed: 2, seconds: 454 }));
        assert_eq!(Suite::read("<testsuite/>"), None);
    }
}
