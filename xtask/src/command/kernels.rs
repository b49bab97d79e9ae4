// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask kernels`: the conformance tests on the kernels that people run, beside what stock guests do there.

mod record;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use papr_unplug_tests::artifacts as harness;
use papr_unplug_tests::demo;
use papr_unplug_tests::survey::Survey;

use crate::artifacts::Artifacts;
use crate::artifacts::debian::kernel::DebianKernel;
use crate::cache::store::Store;
use crate::command::kernels::record::{Record, Suite};
use crate::command::suite;

/// Where the results of this machine are.
const RESULTS: &str = "target/kernels.json";
/// Where the results are that the README's table is made of.
const ACCEPTED: &str = "tests/kernels.json";

/// Tests of what one of Debian's kernels cannot have: two faces.
const LEFT_OUT: &str = "binary(conformance) & not test(/^faces::/)";
/// Tests whose memory is unmovable for the page structures in it. Of pages of 64 KiB there are so few that the kernel finds
/// room for them elsewhere, and the memory can go.
const LEFT_OUT_64K: &str = " & not test(/unmovable_pages/) & not test(/two_dimms_asked_for_together/)";

/// Runs everything on these kernels, or on all that the mirror has now. What is known of other kernels stays.
pub(crate) fn run(store: &Store, only: &[DebianKernel]) -> Result<()> {
    let kernels = if only.is_empty() { DebianKernel::value_variants() } else { only };
    let mut failed = Vec::new();
    for kernel in kernels {
        store.progress.say(format!("==> Debian's kernel ({})", kernel.name()));
        match try_one(store, *kernel) {
            Ok(true) => {}
            Ok(false) => failed.push(format!("{}: tests failed", kernel.name())),
            Err(error) => failed.push(format!("{}: {error:#}", kernel.name())),
        }
    }
    println!("{}", table::of(&record::read(&store.settings.checkout.join(RESULTS))?));
    anyhow::ensure!(failed.is_empty(), "not all is well:\n{}", failed.join("\n"));
    Ok(())
}

/// Whether all tests passed.
fn try_one(store: &Store, kernel: DebianKernel) -> Result<bool> {
    let (artifacts, manifest) = Artifacts::of_debian(store, kernel)?;
    let dir = store.settings.checkout.join("target/kernels");
    fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{}.json", kernel.name()));
    fs::write(&file, serde_json::to_string_pretty(&artifacts)? + "\n")?;
    let artifacts: harness::Artifacts = serde_json::from_value(serde_json::to_value(&artifacts)?)?;

    store.progress.say("    asking the kernel what it is");
    let survey = Survey::take(&artifacts).context("the module cannot be tried on this kernel")?;
    let rows = demo::play(&artifacts, &|line| store.progress.say(format!("    {line}")))?;
    let filter = LEFT_OUT.to_owned() + if survey.page_kib == 64 { LEFT_OUT_64K } else { "" };
    let arguments = ["--package", "papr-unplug-tests", "-E", &filter];
    let passed = suite::nextest_with(store, &file, &arguments, &[])?;
    let junit = dir.join(format!("{}.xml", kernel.name()));
    fs::copy(store.settings.checkout.join("target/nextest/ci/junit.xml"), &junit)?;
    let suite = Suite::read(&fs::read_to_string(&junit)?).context("nextest's report is not as expected")?;
    let record = Record {
        kernel: kernel.name(),
        version: manifest.facts.get("version").cloned().unwrap_or_default(),
        gcc: manifest.facts.get("gcc").cloned().unwrap_or_default(),
        survey,
        scenarios: record::scenarios(&rows),
        suite,
    };
    record::keep(&store.settings.checkout.join(RESULTS), record)?;
    Ok(passed)
}

/// Takes this machine's results for everybody's.
pub(crate) fn accept(checkout: &Path) -> Result<()> {
    let records = record::read(&checkout.join(RESULTS)).context("run `cargo xtask kernels` first")?;
    fs::write(checkout.join(ACCEPTED), record::written(&records)?)?;
    let readme = checkout.join("README.md");
    let text = fs::read_to_string(&readme)?;
    fs::write(&readme, table::placed(&text, &records)?).context("cannot write README.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_the_readme_is_made_of_the_results() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let records = record::read(&checkout.join(ACCEPTED)).unwrap();
        let text = fs::read_to_string(checkout.join("README.md")).unwrap();
        assert!(!records.is_empty());
        assert_eq!(table::placed(&text, &records).unwrap(), text, "run `cargo xtask kernels --accept`");
    }
}
