// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask kernels`: runs tests on distributions' kernels, and compares with what stock guests do there.

use crate::{
    artifacts::{
        Artifacts,
        debian_kernel::{self, DebianKernel},
        flavour::Flavour,
        guest_kernel::GuestKernel,
    },
    cache::Store,
    command::test,
    run::output_of,
    settings::KERNEL_TREE,
};
use anyhow::{Context, Result, bail, ensure};
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

/// Tests the user's kernel, if there is one, and otherwise these of Debian's, or all of them if none is named. The
/// results of other kernels are kept. `distribution` is whose source the user's kernel is built from.
pub(crate) fn run(store: &Store, only: &[DebianKernel], distribution: Option<&str>) -> Result<()> {
    let is_own = store.settings.kernel_tree.is_some();
    ensure!(is_own || distribution.is_none(), "--of is for the kernel in {KERNEL_TREE}, which is not set");
    let kernels: Vec<GuestKernel> = match &store.settings.kernel_tree {
        Some(tree) => {
            ensure!(only.is_empty(), "{KERNEL_TREE} is set, so none of Debian's kernels is tested");
            vec![GuestKernel::Own { tree: tree.clone(), flavour: Flavour::Default }]
        }
        None if only.is_empty() => DebianKernel::value_variants().iter().copied().map(GuestKernel::Debian).collect(),
        None => only.iter().copied().map(GuestKernel::Debian).collect(),
    };
    let mut failed = Vec::new();
    for kernel in &kernels {
        store.progress.say(format!("==> kernel ({})", kernel.title()));
        match try_one(store, kernel, distribution) {
            Ok(complaints) => failed.extend(complaints.iter().map(|what| format!("{}: {what}", kernel.title()))),
            Err(error) => failed.push(format!("{}: {error:#}", kernel.title())),
        }
    }
    kernels::print(&store.settings.checkout)?;
    ensure!(failed.is_empty(), "some kernels failed:\n{}", failed.join("\n"));
    Ok(())
}

/// Tests one kernel and writes its results. Returns what failed.
fn try_one(store: &Store, kernel: &GuestKernel, distribution: Option<&str>) -> Result<Vec<&'static str>> {
    let held = Artifacts::with(store, kernel)?;
    let artifacts = held.for_harness()?;
    let commit = module_commit(&store.settings.checkout)?;
    store.progress.say("    asking the kernel what it is");
    let survey = Survey::take(&artifacts).context("the module cannot be tried on this kernel")?;
    let combinations = record::PAIRINGS.map(|pairing| Combination::new(&artifacts, pairing));
    let rows = demo::play(&combinations, &Scenario::ALL, 0, &|line| store.progress.say(format!("    {line}")))?;
    let arguments = ["--package", "papr-unplug-tests", "-E", &kernels::filter(&survey)];
    let file = format!("kernels/{}.json", kernel.log_name());
    let passed = test::try_nextest(store, (&held, &file), &arguments, &[])?;
    let junit = fs::read_to_string(store.settings.checkout.join("target/nextest/ci/junit.xml"))?;
    let suite = Suite::read(&junit).context("nextest's report is not as expected")?;
    let (kernel, version, gcc) = match kernel {
        GuestKernel::Debian(kernel) => {
            let made = held.of(DebianKernel::KIND).context("the kernel is not among the artifacts")?;
            (kernel.name(), made.fact("version").to_owned(), made.fact("gcc").to_owned())
        }
        GuestKernel::Own { tree, .. } => {
            let gcc = debian_kernel::gcc(&fs::read_to_string(tree.join(".config"))?);
            // Results of several releases are kept.
            let name = format!("own {}", survey.release);
            let gcc = gcc.map_or_else(|| "none".to_owned(), |gcc| gcc.to_string());
            (name, own_version(&survey.release, distribution), gcc)
        }
        GuestKernel::Ours(_) => bail!("`cargo xtask test --kernel` tests our own kernels"),
    };
    let scenarios = record::scenarios(&rows);
    kernels::add(&store.settings.checkout, Record { kernel, version, gcc, commit, survey, scenarios, suite })?;
    let crashed = rows.iter().any(|row| row.outcome == Outcome::GuestCrashed);
    let complaints = [(crashed, "a guest crashed in a scenario"), (!passed, "tests failed")];
    Ok(complaints.into_iter().filter_map(|(found, complaint)| found.then_some(complaint)).collect())
}

/// Returns what results call a kernel that was built from source.
fn own_version(release: &str, distribution: Option<&str>) -> String {
    let of = distribution.map(|name| format!(" of {name}")).unwrap_or_default();
    format!("{release}{of}, built from source")
}

/// Returns the last commit that has changed the module's sources, with `-dirty` if they have changed since.
fn module_commit(checkout: &Path) -> Result<String> {
    const SOURCES: [&str; 4] = ["--", "Kbuild", "guest-module", "spec/wire/src"];
    let git = |words: &[&str]| output_of(Command::new("git").arg("-C").arg(checkout).args(words).args(SOURCES));
    let commit = git(&["log", "-1", "--abbrev=10", "--format=%h"])?;
    let changes = git(&["status", "--porcelain"])?;
    Ok(commit.trim().to_owned() + if changes.trim().is_empty() { "" } else { "-dirty" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_version_says_whose_source_it_is() {
        assert_eq!(own_version("5.10.262", None), "5.10.262, built from source");
        assert_eq!(own_version("5.4.291", Some("Ubuntu 20.04")), "5.4.291 of Ubuntu 20.04, built from source");
    }
}
