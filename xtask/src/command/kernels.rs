// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask kernels`: runs tests on distributions' kernels, and compares with what stock guests do there.

use crate::{
    artifacts::{
        Artifacts,
        debian_kernel::{self, DebianKernel},
        flavour::Flavour,
        guest_kernel::GuestKernel,
    },
    cache::store::Store,
    command::test,
    run::log::output_of,
    settings::KERNEL_TREE,
};
use anyhow::{Context, Result};
use clap::ValueEnum as _;
use papr_unplug_report::kernels::{
    self,
    record::{self, Record, Suite},
};
use papr_unplug_tests::{
    removal::Outcome,
    report::{combination::Combination, demo, survey::Survey},
    story::scenario::Scenario,
};
use std::{fs, path::Path, process::Command};

/// A kernel that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TestedKernel<'a> {
    Debian(DebianKernel),
    /// The user's, in this build directory.
    Own(&'a Path),
}

impl TestedKernel<'_> {
    /// Returns the name in paths and results.
    fn name(self) -> String {
        match self {
            Self::Debian(kernel) => kernel.name(),
            Self::Own(_) => "own".to_owned(),
        }
    }
}

/// Tests the user's kernel, if there is one, and otherwise these of Debian's, or all of them if none is named. The
/// results of other kernels are kept.
pub(crate) fn run(store: &Store, only: &[DebianKernel]) -> Result<()> {
    let subjects: Vec<TestedKernel<'_>> = match &store.settings.kernel_tree {
        Some(tree) => {
            anyhow::ensure!(only.is_empty(), "{KERNEL_TREE} is set, so none of Debian's kernels is tested");
            vec![TestedKernel::Own(tree)]
        }
        None if only.is_empty() => DebianKernel::value_variants().iter().copied().map(TestedKernel::Debian).collect(),
        None => only.iter().copied().map(TestedKernel::Debian).collect(),
    };
    let mut failed = Vec::new();
    for subject in subjects {
        store.progress.say(format!("==> kernel ({})", subject.name()));
        match try_one(store, subject) {
            Ok(complaints) => failed.extend(complaints.iter().map(|what| format!("{}: {what}", subject.name()))),
            Err(error) => failed.push(format!("{}: {error:#}", subject.name())),
        }
    }
    kernels::print(&store.settings.checkout)?;
    anyhow::ensure!(failed.is_empty(), "some kernels failed:\n{}", failed.join("\n"));
    Ok(())
}

/// Tests one kernel and writes its results. Returns what failed.
fn try_one(store: &Store, subject: TestedKernel<'_>) -> Result<Vec<&'static str>> {
    let (artifacts, version, gcc) = match subject {
        TestedKernel::Debian(kernel) => {
            let artifacts = Artifacts::with(store, &GuestKernel::Debian(kernel))?;
            let made = artifacts.of(&kernel).context("the kernel is not among the artifacts")?;
            let (version, gcc) = (made.fact("version").to_owned(), made.fact("gcc").to_owned());
            (artifacts, version, gcc)
        }
        TestedKernel::Own(tree) => {
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
    let artifacts = artifacts.for_harness()?;

    let commit = module_commit(&store.settings.checkout)?;
    store.progress.say("    asking the kernel what it is");
    let survey = Survey::take(&artifacts).context("the module cannot be tried on this kernel")?;
    let combinations = record::PAIRINGS.map(|pairing| Combination::new(&artifacts, pairing));
    let rows = demo::play(&combinations, &Scenario::ALL, 0, &|line| {
        store.progress.say(format!("    {line}"));
    })?;
    let arguments = ["--package", "papr-unplug-tests", "-E", &kernels::filter(&survey)];
    let passed = test::nextest_with(store, &file, &arguments, &[])?;
    let junit = dir.join(format!("{}.xml", subject.name()));
    fs::copy(store.settings.checkout.join("target/nextest/ci/junit.xml"), &junit)?;
    let suite = Suite::read(&fs::read_to_string(&junit)?).context("nextest's report is not as expected")?;
    let record = Record {
        kernel: match subject {
            TestedKernel::Debian(kernel) => kernel.name(),
            // Results of several releases are kept.
            TestedKernel::Own(_) => format!("own {}", survey.release),
        },
        version,
        gcc,
        commit,
        survey,
        scenarios: record::scenarios(&rows),
        suite,
    };
    kernels::add(&store.settings.checkout, record)?;
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
