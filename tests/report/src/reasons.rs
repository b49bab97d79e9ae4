// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results of the tests that trigger reasons, and `docs/reasons.md`.

mod absent;
mod table;

use anyhow::{Context as _, Result};
use papr_unplug_tests::report::occurrence::{self, Occurrence};
use std::{fs, path::Path};

/// The results of this machine.
const RESULTS: &str = "target/reasons.json";
/// The accepted results, which the table is made of.
const ACCEPTED: &str = "tests/reasons.json";
/// The table.
const TABLE: &str = "docs/reasons.md";

/// Prints the table of what the tests have recorded, and writes the records to `target/reasons.json`.
pub fn finish(checkout: &Path) -> Result<()> {
    let found = collect(&occurrence::directory())?;
    fs::write(checkout.join(RESULTS), serde_json::to_string_pretty(&found)? + "\n")
        .with_context(|| format!("cannot write {RESULTS}"))?;
    println!("{}", table::of(&found, &table::reasons(checkout)?));
    Ok(())
}

/// Reads what the tests have recorded, and sorts it.
fn collect(dir: &Path) -> Result<Vec<Occurrence>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let evidence = serde_json::from_str(&fs::read_to_string(&path)?);
        found.push(evidence.with_context(|| format!("{} is malformed", path.display()))?);
    }
    found.sort();
    Ok(found)
}

/// Takes this machine's results over into the repository.
pub fn accept(checkout: &Path) -> Result<()> {
    let text = fs::read_to_string(checkout.join(RESULTS)).context("run `cargo xtask reasons` first")?;
    let found: Vec<Occurrence> = serde_json::from_str(&text)?;
    fs::write(checkout.join(ACCEPTED), text)?;
    fs::write(checkout.join(TABLE), table::of(&found, &table::reasons(checkout)?)).context("cannot write the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
    }

    fn accepted() -> Vec<Occurrence> {
        serde_json::from_str(&fs::read_to_string(checkout().join(ACCEPTED)).unwrap()).unwrap()
    }

    #[test]
    fn table_is_made_of_the_results() {
        let table = table::of(&accepted(), &table::reasons(checkout()).unwrap());
        assert_eq!(table, fs::read_to_string(checkout().join(TABLE)).unwrap(), "run `cargo xtask reasons --accept`");
    }

    #[test]
    fn every_reason_was_provoked_or_it_is_said_why_not() {
        let accepted = accepted();
        for reason in table::reasons(checkout()).unwrap() {
            let provoked = accepted.iter().any(|evidence| evidence.reason == reason);
            assert_ne!(provoked, absent::why(&reason).is_some(), "{reason}");
        }
    }

    #[test]
    fn tests_that_provoked_a_reason_are_still_there() {
        for evidence in accepted() {
            let (module, test) = evidence.test.rsplit_once("::").unwrap();
            let source = |of| fs::read_to_string(checkout().join(format!("tests/tests/{of}/{module}.rs")));
            let source = source("reasons").or_else(|_| source("pci")).unwrap();
            assert!(source.contains(&format!("fn {test}()")), "{}", evidence.test);
        }
    }
}
