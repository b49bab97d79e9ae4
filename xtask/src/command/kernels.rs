// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask kernels`: runs tests on distributions' kernels, and compares with what stock guests do there.

mod record;
mod table;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use papr_unplug_tests::artifacts as harness;
use papr_unplug_tests::removal::Outcome;
use papr_unplug_tests::report::demo;
use papr_unplug_tests::report::survey::Survey;

use crate::artifacts::Artifacts;
use crate::artifacts::debian_kernel::{self, DebianKernel};
use crate::artifacts::flavour::Flavour;
use crate::artifacts::guest_kernel::GuestKernel;
use crate::cache::store::Store;
use crate::command::kernels::record::{Record, Suite};
use crate::command::test;
use crate::run::log::output_of;
use crate::settings::KERNEL_TREE;

/// The results of this machine.
const RESULTS: &str = "target/kernels.json";
/// The accepted results, which docs/kernels.md is made of.
const ACCEPTED: &str = "tests/kernels.json";
/// The tables of the accepted results.
const PAGE: &str = "docs/kernels.md";

/// The tests that a kernel changes anything for: what becomes of each removal, with reports and without, and the module's
/// coming and going.
const RUN: &str = "(binary(conformance) & test(/^(armed|refusals)::/)) | (binary(module) & test(/^lifecycle::/))";
/// Tests among these that are run on no kernel, and why.
const LEFT_OUT: (&str, &str) = ("test(/module_loaded_and_unloaded/)", "200 loads and unloads, which take minutes");
/// Tests that fail with pages of 64 KiB, and why.
const LEFT_OUT_64K: (&str, &str) = (
    "test(/unmovable_pages/) | test(/two_dimms_asked_for_together/)",
    "with 64 KiB pages, tests whose memory is unmovable for the page structures in it: there are so few that the kernel finds \
     room for them elsewhere, and the memory can go",
);
/// Tests that need a tracepoint for RTAS calls, and why.
const LEFT_OUT_UNTRACED: (&str, &str) = (
    "test(/signalled_by_the_module|signals_the_next_refusal|signalled_on_the_one_that_is_busy/) | \
     test(/signalled_each_time|signalled_to_a_stock_vmm|reports_are_taken_from_each_processor/)",
    "before 6.3, tests that look at the very call by which the module signals at level 0: the kernel has no tracepoint for it, and \
     the tests' own probe is not run inside the module's",
);

/// Tests that fail where the kernel reports no refusal by itself, and why.
const LEFT_OUT_UNSIGNALLED: (&str, &str) = (
    "test(/by_the_kernel_alone|lets_the_kernel_signal|leaves_it_to_the_kernel/)",
    "before 5.13, tests in which the kernel tells a refusal by itself: it has no `dlpar_unisolate_drc` to do so",
);

/// Returns the tests that are left out on this kernel.
fn left_out(survey: &Survey) -> Vec<(&'static str, &'static str)> {
    let mut out = vec![LEFT_OUT];
    out.extend((survey.page_kib == 64).then_some(LEFT_OUT_64K));
    out.extend((!survey.traces_rtas).then_some(LEFT_OUT_UNTRACED));
    let signals = survey.probed.iter().any(|name| name == "dlpar_unisolate_drc");
    out.extend((!signals).then_some(LEFT_OUT_UNSIGNALLED));
    out
}

/// A kernel that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject<'a> {
    Debian(DebianKernel),
    /// The user's, in this build directory.
    Own(&'a Path),
}

impl Subject<'_> {
    /// Returns the name in paths and results.
    fn name(self) -> String {
        match self {
            Self::Debian(kernel) => kernel.name(),
            Self::Own(_) => "own".to_owned(),
        }
    }
}

/// Tests the user's kernel, if there is one, and otherwise these of Debian's, or all of them if none is named. The results of
/// other kernels are kept.
pub(crate) fn run(store: &Store, only: &[DebianKernel]) -> Result<()> {
    let subjects: Vec<Subject<'_>> = match &store.settings.kernel_tree {
        Some(tree) => {
            anyhow::ensure!(only.is_empty(), "{KERNEL_TREE} is set, so none of Debian's kernels is tested");
            vec![Subject::Own(tree)]
        }
        None if only.is_empty() => DebianKernel::value_variants().iter().copied().map(Subject::Debian).collect(),
        None => only.iter().copied().map(Subject::Debian).collect(),
    };
    let mut failed = Vec::new();
    for subject in subjects {
        store.progress.say(format!("==> kernel ({})", subject.name()));
        match try_one(store, subject) {
            Ok(complaints) => failed.extend(complaints.iter().map(|what| format!("{}: {what}", subject.name()))),
            Err(error) => failed.push(format!("{}: {error:#}", subject.name())),
        }
    }
    println!("{}", table::of(&record::read(&store.settings.checkout.join(RESULTS))?));
    anyhow::ensure!(failed.is_empty(), "some kernels failed:\n{}", failed.join("\n"));
    Ok(())
}

/// Tests one kernel and writes its results. Returns what failed.
fn try_one(store: &Store, subject: Subject<'_>) -> Result<Vec<&'static str>> {
    let (artifacts, version, gcc) = match subject {
        Subject::Debian(kernel) => {
            let artifacts = Artifacts::with(store, &GuestKernel::Debian(kernel))?;
            let made = artifacts.of(&kernel).context("the kernel is not among the artifacts")?;
            let (version, gcc) = (made.fact("version").to_owned(), made.fact("gcc").to_owned());
            (artifacts, version, gcc)
        }
        Subject::Own(tree) => {
            let read = |name: &str| {
                fs::read_to_string(tree.join(name)).with_context(|| format!("cannot read {name} in {}", tree.display()))
            };
            let release = read("include/config/kernel.release")?;
            let gcc = debian_kernel::gcc(&read(".config")?).map_or_else(|| "none".to_owned(), |gcc| gcc.to_string());
            (Artifacts::ensure(store, Flavour::Default)?, format!("{}, built from source", release.trim()), gcc)
        }
    };
    let dir = store.settings.checkout.join("target/kernels");
    fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{}.json", subject.name()));
    fs::write(&file, serde_json::to_string_pretty(&artifacts)? + "\n")?;
    let artifacts: harness::Artifacts = serde_json::from_value(serde_json::to_value(&artifacts)?)?;

    let commit = module_commit(&store.settings.checkout)?;
    store.progress.say("    asking the kernel what it is");
    let survey = Survey::take(&artifacts).context("the module cannot be tried on this kernel")?;
    let rows = demo::play(&artifacts, &record::PAIRINGS, 0, &|line| store.progress.say(format!("    {line}")))?;
    let out: Vec<_> = left_out(&survey).into_iter().map(|(tests, _)| tests).collect();
    let filter = format!("({RUN}) - ({})", out.join(" | "));
    let arguments = ["--package", "papr-unplug-tests", "-E", &filter];
    let passed = test::nextest_with(store, &file, &arguments, &[])?;
    let junit = dir.join(format!("{}.xml", subject.name()));
    fs::copy(store.settings.checkout.join("target/nextest/ci/junit.xml"), &junit)?;
    let suite = Suite::read(&fs::read_to_string(&junit)?).context("nextest's report is not as expected")?;
    let record = Record {
        kernel: match subject {
            Subject::Debian(kernel) => kernel.name(),
            // Results of several releases are kept.
            Subject::Own(_) => format!("own {}", survey.release),
        },
        version,
        gcc,
        commit,
        survey,
        scenarios: record::scenarios(&rows),
        suite,
    };
    record::merge(&store.settings.checkout.join(RESULTS), [record])?;
    let crashed = rows.iter().any(|row| row.outcome == Outcome::GuestCrashed);
    let complaints = [(crashed, "a guest crashed in a scenario"), (!passed, "tests failed")];
    Ok(complaints.into_iter().filter_map(|(found, complaint)| found.then_some(complaint)).collect())
}

/// Returns the last commit that has changed the module's sources, with `-dirty` if they have changed since.
fn module_commit(checkout: &Path) -> Result<String> {
    const SOURCES: [&str; 4] = ["--", "Kbuild", "guest-module", "spec/wire/src"];
    let git = |words: &[&str]| output_of(Command::new("git").arg("-C").arg(checkout).args(words).args(SOURCES));
    let commit = git(&["log", "-1", "--abbrev=10", "--format=%h"])?;
    let changes = git(&["status", "--porcelain"])?;
    Ok(commit.trim().to_owned() + if changes.trim().is_empty() { "" } else { "-dirty" })
}

/// Takes this machine's results over into the repository. The results of other kernels are kept.
pub(crate) fn accept(checkout: &Path) -> Result<()> {
    let newer = record::read(&checkout.join(RESULTS))?;
    anyhow::ensure!(!newer.is_empty(), "there are no results: run `cargo xtask kernels` first");
    let records = record::merge(&checkout.join(ACCEPTED), newer)?;
    let page = checkout.join(PAGE);
    let text = fs::read_to_string(&page)?;
    fs::write(&page, table::placed(&text, &records)?).with_context(|| format!("cannot write {PAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_kernels_is_made_of_the_results() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let records = record::read(&checkout.join(ACCEPTED)).unwrap();
        let text = fs::read_to_string(checkout.join(PAGE)).unwrap();
        assert!(!records.is_empty());
        assert_eq!(table::placed(&text, &records).unwrap(), text, "run `cargo xtask kernels --accept`");
    }
}
