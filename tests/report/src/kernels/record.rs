// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results of one kernel.

use anyhow::{Context, Result};
use papr_unplug_tests::{
    pairing::Pairing,
    report::{demo::Row, survey::Survey},
    story::scenario,
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// One kernel's results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name in `cargo xtask kernels`.
    pub kernel: String,
    /// Debian's version of the package; of a kernel that was built from source its release, and whose source that is.
    pub version: String,
    /// The major version of the gcc that the kernel and the module were built with.
    pub gcc: String,
    /// The last commit that had changed the module, with `-dirty` if it had changed since.
    pub commit: String,
    /// Survey of the kernel.
    pub survey: Survey,
    /// The outcomes of the demonstration's scenarios.
    pub scenarios: Vec<Scenario>,
    /// The counts of the tests.
    pub suite: Suite,
}

/// The outcomes of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The device that the host asked for.
    pub name: String,
    /// Of the stock guest on stock QEMU.
    pub stock: ScenarioOutcome,
    /// Of the module on stock QEMU.
    pub ours_on_stock: ScenarioOutcome,
    /// Of the module on our QEMU.
    pub ours: ScenarioOutcome,
}

/// Outcome of a request, and of a second one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioOutcome {
    /// The outcome, as the host was told.
    pub outcome: String,
    /// The number of events.
    pub events: usize,
    /// The reason of the refusal.
    pub reason: Option<String>,
    /// The answer to a second request.
    pub retry: Option<String>,
}

/// The counts of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suite {
    /// The number of tests that were run.
    pub tests: u32,
    /// The number of tests that failed.
    pub failed: u32,
    /// The duration.
    pub seconds: u32,
}

impl Suite {
    /// Reads nextest's JUnit report.
    pub fn read(junit: &str) -> Option<Self> {
        let line = junit.lines().find(|line| line.starts_with("<testsuites "))?;
        let attribute = |name: &str| line.split_once(&format!(" {name}=\""))?.1.split('"').next();
        let number = |name| attribute(name)?.parse::<u32>().ok();
        let seconds: f64 = attribute("time")?.parse().ok()?;
        // CAST: A suite takes minutes.
        Some(Self { tests: number("tests")?, failed: number("failures")? + number("errors")?, seconds: seconds as u32 })
    }
}

/// The pairings of the scenarios.
pub const PAIRINGS: [Pairing; 3] = [Pairing::STOCK, Pairing::OURS_ON_STOCK, Pairing::OURS];

/// Returns the scenarios of a demonstration in [`PAIRINGS`].
pub fn scenarios(rows: &[Row]) -> Vec<Scenario> {
    let told = |scenario, Pairing { guest, vmm }: Pairing| {
        let row = rows.iter().find(|row| row.scenario == scenario && row.guest == guest && row.vmm == vmm);
        row.map_or_else(ScenarioOutcome::default, |row| ScenarioOutcome {
            outcome: row.outcome.to_string(),
            events: row.events,
            reason: row.reason.clone(),
            retry: row.retry.map(|retry| retry.to_string()),
        })
    };
    let [stock, ours_on_stock, ours] = PAIRINGS;
    let play = |scenario: scenario::Scenario| Scenario {
        name: scenario.requested().to_owned(),
        stock: told(scenario, stock),
        ours_on_stock: told(scenario, ours_on_stock),
        ours: told(scenario, ours),
    };
    scenario::Scenario::ALL.map(play).into()
}

/// Reads all results in a file; none if there is no such file.
pub(crate) fn read(file: &Path) -> Result<Vec<Record>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&fs::read_to_string(file)?).with_context(|| format!("{} is malformed", file.display()))
}

/// Replaces the results of kernels in a file by newer ones, and returns all results.
pub(crate) fn merge(file: &Path, newer: impl IntoIterator<Item = Record>) -> Result<Vec<Record>> {
    let records = merged(read(file)?, newer);
    fs::write(file, written(&records)?).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(records)
}

fn merged(mut records: Vec<Record>, newer: impl IntoIterator<Item = Record>) -> Vec<Record> {
    for record in newer {
        records.retain(|other| other.kernel != record.kernel);
        records.push(record);
    }
    records.sort_by(|a, b| series(a).cmp(&series(b)).then(a.kernel.cmp(&b.kernel)));
    records
}

/// Returns the content of a file of results.
pub(crate) fn written(records: &[Record]) -> Result<String> {
    Ok(serde_json::to_string_pretty(records)? + "\n")
}

/// Returns the numbers that a version begins with, by which kernels are sorted.
fn series(record: &Record) -> Vec<u32> {
    let begin = record.version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    begin.split('.').filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kernel: &str, version: &str, commit: &str) -> Record {
        Record {
            kernel: kernel.into(),
            version: version.into(),
            gcc: "12".into(),
            commit: commit.into(),
            survey: Survey {
                release: version.into(),
                page_kib: 4,
                traces_rtas: true,
                build: "standalone".into(),
                probes: "kretprobe".into(),
                probed: Vec::new(),
                absent: Vec::new(),
                vmm: "stock".into(),
                said: String::new(),
                srcversion: String::new(),
                module_bytes: 1,
                loaded_bytes: 1,
            },
            scenarios: Vec::new(),
            suite: Suite { tests: 1, failed: 0, seconds: 1 },
        }
    }

    #[test]
    fn newer_results_of_a_kernel_replace_older_ones_and_leave_those_of_others() {
        let before = vec![record("a", "6.12.9-1", "1"), record("b", "7.3-1", "1")];
        let newer = [record("a", "6.12.11-1", "2"), record("c", "6.1.2-1", "2")];
        let all = merged(before, newer);
        let found: Vec<_> = all.iter().map(|record| (record.kernel.as_str(), record.commit.as_str())).collect();
        assert_eq!(found, [("c", "2"), ("a", "2"), ("b", "1")]);
    }

    #[test]
    fn suite_is_read_from_nextests_report() {
        let junit = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"38\" skipped=\"0\" failures=\"1\" \
                     errors=\"1\" timestamp=\"2026-11-25T11:56:04.480+00:00\" time=\"454.684\">\n";
        assert_eq!(Suite::read(junit), Some(Suite { tests: 38, failed: 2, seconds: 454 }));
        assert_eq!(Suite::read("<testsuite/>"), None);
    }
}
