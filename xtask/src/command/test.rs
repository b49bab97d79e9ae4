// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask test`: runs everything that has to pass before a change is sent.

use crate::{
    artifacts::{Artifacts, build::Build, flavour::Flavour},
    cache::store::Store,
    run::machine,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The variable with the path of the file of [`Artifacts`]; `papr-unplug-tests` reads it.
const VARIABLE: &str = "PAPR_UNPLUG_ARTIFACTS";

/// The package whose tests boot guests.
const VM_TESTS: &str = "papr-unplug-tests";

/// The version of nextest that is installed if there is none. `rust-version` of the workspace can build it.
const NEXTEST: &str = "0.9.143";

/// Runs the suite, or, with arguments for nextest, only nextest.
pub(crate) fn run(store: &Store, flavour: Flavour, nextest: &[OsString]) -> Result<()> {
    let whole = nextest.is_empty();
    if whole && flavour == Flavour::Default {
        machine::require_test_tools(&store.progress)?;
        cargo(store, &["fmt", "--all", "--check"])?;
        cargo(store, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    }
    let artifacts = Artifacts::ensure(store, flavour)?;
    if whole && flavour == Flavour::Default {
        cargo(store, &["test", "--quiet", "--doc", "--workspace"])?;
    }
    let mut arguments: Vec<OsString> = scope(flavour).iter().map(Into::into).chain(nextest.iter().cloned()).collect();
    if whole && flavour.build() == Build::Standalone {
        arguments.extend(["-E", ONE_BUILD].map(Into::into));
    }
    self::nextest(store, &artifacts, &arguments, &[])
}

/// Runs nextest on tests that use these artifacts, with further environment variables. Fails if a test does.
pub(crate) fn nextest(
    store: &Store,
    artifacts: &Artifacts,
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &Path)],
) -> Result<()> {
    let file = write(store, artifacts)?;
    let passed = nextest_with(store, &file, arguments, variables)?;
    ensure!(passed, "tests failed; target/nextest/ci/junit.xml has each one's output");
    Ok(())
}

/// Runs nextest on tests that use the artifacts in this file. Returns whether all tests passed.
pub(crate) fn nextest_with(
    store: &Store,
    artifacts: &Path,
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &Path)],
) -> Result<bool> {
    let program = cargo_nextest(store)?;
    store.progress.say("==> cargo nextest run");
    let mut command = Command::new(program);
    command.args(["nextest", "run", "--profile", "ci"]).args(arguments);
    command.env(VARIABLE, artifacts).envs(variables.iter().copied()).current_dir(&store.settings.checkout);
    Ok(command.status().context("cannot run nextest")?.success())
}

/// Writes the file of artifacts, also for tests that are run by hand later.
fn write(store: &Store, artifacts: &Artifacts) -> Result<PathBuf> {
    let file = store.settings.checkout.join("target/artifacts.json");
    fs::create_dir_all(file.with_file_name(""))?;
    fs::write(&file, serde_json::to_string_pretty(artifacts)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Returns the arguments that select the tests for which the kernel matters.
fn scope(flavour: Flavour) -> Vec<&'static str> {
    let binaries: &[&str] = match flavour {
        Flavour::Default => return vec!["--workspace"],
        Flavour::Debug => &["conformance", "module", "harness", "reasons", "debug_kernel"],
        Flavour::Kasan => &["conformance", "module", "harness", "kasan_kernel"],
        Flavour::Preempt => &["conformance", "module"],
        Flavour::Bare => &["bare_kernel"],
    };
    let mut arguments = vec!["--package", VM_TESTS];
    arguments.extend(binaries.iter().flat_map(|binary| ["--test", binary]));
    if flavour != Flavour::Preempt {
        // Also the tests that only this kernel can pass.
        arguments.extend(["--run-ignored", "all"]);
    }
    arguments
}

/// The tests for kernels that take only one build of the module: all but those that compare builds.
const ONE_BUILD: &str = "not test(/^builds::/)";

fn cargo(store: &Store, arguments: &[&str]) -> Result<()> {
    store.progress.say(format!("==> cargo {}", arguments.join(" ")));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let status = command.args(arguments).current_dir(&store.settings.checkout).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}

/// Returns the user's `cargo-nextest`, or installs one into the cache.
fn cargo_nextest(store: &Store) -> Result<PathBuf> {
    if let Some(program) = machine::find("cargo-nextest") {
        return Ok(program);
    }
    let root = store.settings.cache.join("tools").join(format!("nextest-{NEXTEST}"));
    let program = root.join("bin/cargo-nextest");
    if !program.exists() {
        install_nextest(store, &root)?;
    }
    Ok(program)
}

fn install_nextest(store: &Store, root: &Path) -> Result<()> {
    store.progress.say(format!("==> installing cargo-nextest {NEXTEST} into {}", root.display()));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["install", "--locked", "cargo-nextest", "--version", NEXTEST, "--root"]).arg(root);
    command.env("CARGO_TARGET_DIR", root.join("target"));
    store
        .log("nextest")?
        .run("cargo install cargo-nextest", &mut command)
        .context("cannot install cargo-nextest; it can also come from elsewhere, as long as it is found on PATH")?;
    fs::remove_dir_all(root.join("target")).context("cannot remove what cargo-nextest was built in")
}
