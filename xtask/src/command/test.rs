// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask test`: runs everything that has to pass before a change is sent.

use crate::{
    artifacts::{Artifacts, flavour::Flavour},
    cache::Store,
    command::tool::NEXTEST,
    run::machine,
};
use anyhow::{Context, Result, ensure};
use papr_unplug_tests::artifacts::VARIABLE;
use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// The list of artifacts, below `target`, for tests that are run by hand later, too.
pub(crate) const FILE: &str = "artifacts.json";

/// The package whose tests boot guests.
const VM_TESTS: &str = "papr-unplug-tests";

/// Runs the suite, or, with arguments for nextest, only nextest.
pub(crate) fn run(store: &Store, flavour: Flavour, nextest: &[OsString]) -> Result<()> {
    let whole = nextest.is_empty();
    if whole && flavour == Flavour::Default {
        machine::require(&store.progress, machine::TEST_TOOLS)?;
        cargo(store, &["fmt", "--all", "--check"])?;
        cargo(store, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    }
    let artifacts = Artifacts::ensure(store, flavour)?;
    if whole && flavour == Flavour::Default {
        cargo(store, &["test", "--quiet", "--doc", "--workspace"])?;
    }
    let arguments: Vec<OsString> = scope(flavour).iter().map(Into::into).chain(nextest.iter().cloned()).collect();
    self::nextest(store, (&artifacts, FILE), &arguments, &[])
}

/// Runs nextest on tests that use these artifacts, which are listed in `target/FILE`, with further environment variables.
/// Fails if a test does.
pub(crate) fn nextest(
    store: &Store,
    (artifacts, file): (&Artifacts, &str),
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &Path)],
) -> Result<()> {
    let passed = try_nextest(store, (artifacts, file), arguments, variables)?;
    ensure!(passed, "tests failed; junit.xml below target/nextest has each one's output");
    Ok(())
}

/// Does the same as [`nextest`], and returns whether all tests passed.
pub(crate) fn try_nextest(
    store: &Store,
    (artifacts, file): (&Artifacts, &str),
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &Path)],
) -> Result<bool> {
    let file = artifacts.write(&store.settings, file)?;
    store.progress.say("==> cargo nextest run");
    let mut cargo = NEXTEST.cargo(store)?;
    cargo.args(["nextest", "run"]).args(arguments).env("NEXTEST_PROFILE", "ci");
    cargo.env(VARIABLE, file).envs(variables.iter().copied());
    Ok(cargo.status().context("cannot run nextest")?.success())
}

/// Returns the arguments that select the tests for which the kernel matters. `.config/nextest.toml` has a profile for each
/// kernel.
fn scope(flavour: Flavour) -> Vec<String> {
    if flavour == Flavour::Default {
        return vec!["--workspace".to_owned()];
    }
    let mut arguments = ["--package", VM_TESTS, "--profile"].map(str::to_owned).to_vec();
    arguments.push(format!("kernel-{}", flavour.name()));
    if flavour != Flavour::Preempt {
        // Also the tests that only this kernel can pass.
        arguments.extend(["--run-ignored", "all"].map(str::to_owned));
    }
    arguments
}

fn cargo(store: &Store, arguments: &[&str]) -> Result<()> {
    store.progress.say(format!("==> cargo {}", arguments.join(" ")));
    let mut cargo = machine::cargo(&store.settings.checkout);
    let status = cargo.args(arguments).status().context("cannot run cargo")?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}
