// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: everything that has to pass before a change is sent.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::artifacts::Artifacts;
use crate::artifacts::build::Build;
use crate::artifacts::flavour::Flavour;
use crate::cache::store::Store;
use crate::host;
use crate::run::step::Log;

/// The variable that tells tests where [`Artifacts`] stand; `papr-unplug-tests` reads it.
const VARIABLE: &str = "PAPR_UNPLUG_ARTIFACTS";

/// The package whose tests boot guests.
const VM_TESTS: &str = "papr-unplug-tests";

/// The nextest that is installed where there is none, and that `rust-version` builds.
const NEXTEST: &str = "0.9.143";

/// Runs the suite; with `nextest` arguments only nextest, which gets them.
pub(crate) fn run(store: &Store, flavour: Flavour, nextest: &[OsString]) -> Result<()> {
    let whole = nextest.is_empty();
    if whole && flavour == Flavour::Default {
        host::require_test_tools(&store.progress)?;
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

/// Runs nextest for tests that boot what these artifacts are, with further variables.
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

/// The same with artifacts that stand in this file; whether all tests passed.
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

/// Writes down where the artifacts are, also for tests that are run by hand later.
fn write(store: &Store, artifacts: &Artifacts) -> Result<PathBuf> {
    let file = store.settings.checkout.join("target/artifacts.json");
    fs::create_dir_all(file.with_file_name(""))?;
    fs::write(&file, serde_json::to_string_pretty(artifacts)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The tests that a kernel changes anything for. Those that only one kernel can pass are ignored elsewhere.
fn scope(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::Default => &["--workspace"],
        Flavour::Debug => &[
            "--package",
            VM_TESTS,
            "--test",
            "conformance",
            "--test",
            "module",
            "--test",
            "harness",
            "--test",
            "reasons",
            "--test",
            "debug_kernel",
            "--run-ignored",
            "all",
        ],
        Flavour::Kasan => &[
            "--package",
            VM_TESTS,
            "--test",
            "conformance",
            "--test",
            "module",
            "--test",
            "harness",
            "--test",
            "kasan_kernel",
            "--run-ignored",
            "all",
        ],
        Flavour::Bare => &["--package", VM_TESTS, "--test", "bare_kernel", "--run-ignored", "all"],
    }
}

/// A kernel without `CONFIG_RUST` takes one build only, so there is nothing to compare.
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

/// The user's `cargo-nextest`, else one installed into the cache.
fn cargo_nextest(store: &Store) -> Result<PathBuf> {
    if let Some(program) = host::find("cargo-nextest") {
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
    Log::begin(store, "nextest")?
        .run(store, "cargo install cargo-nextest", &mut command)
        .context("cannot install cargo-nextest; it can also come from elsewhere, as long as it is found on PATH")?;
    // Only the program is of use from here on.
    fs::remove_dir_all(root.join("target")).context("cannot remove what cargo-nextest was built in")
}
