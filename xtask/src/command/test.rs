// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask test`: runs everything that has to pass before a change is sent.

use crate::{
    artifacts::{Artifacts, flavour::Flavour},
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
    let left_out = left_out(flavour);
    if whole && !left_out.is_empty() {
        arguments.extend(["-E".to_owned(), format!("not ({})", left_out.join(" | "))].map(Into::into));
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
        Flavour::Hints => &["conformance", "module", "hinting_kernel"],
        Flavour::Answers | Flavour::AnswersDebug | Flavour::AnswersKasan => &["answering_kernel"],
    };
    let mut arguments = vec!["--package", VM_TESTS];
    arguments.extend(binaries.iter().flat_map(|binary| ["--test", binary]));
    if flavour != Flavour::Preempt {
        // Also the tests that only this kernel can pass.
        arguments.extend(["--run-ignored", "all"]);
    }
    arguments
}

/// The tests that compare builds of the module, of which some kernels take only one.
const BUILDS: &str = "test(/^builds::/)";

/// The tests of `answering_kernel` for a kernel that starts another one, and whose allocations fail on demand.
const DEBUG: &str = "test(/^debug::/)";

/// The tests of `conformance` and `module` that say what a kernel without the patches of `packaging/linux/removal` keeps
/// silent about or leaves to the module, where it unisolates an LMB that it also configures again, and what it gives away
/// when its administrator asks for it. `hinting_kernel` has tests of the same removals.
const WITHOUT_HINTS: [&str; 24] = [
    "dimm_of_one_busy_lmb_is_signalled_by_the_module",
    "dimm_that_a_stock_guest_keeps_silent_about_is_listed_and_can_be_asked_for_again",
    "dimm_whose_addition_failed_is_released_by_stock_firmware",
    "dimm_whose_first_lmb_was_given_back_is_signalled_on_the_one_that_is_busy",
    "dimm_with_first_lmb_busy_is_signalled_by_the_module",
    "dimm_with_later_lmb_busy_is_signalled_by_the_kernel_alone",
    "dimm_with_unmovable_pages_in_later_lmb_is_signalled_by_the_kernel_alone",
    "dimm_with_unmovable_pages_is_signalled_each_time_it_is_asked_for",
    "failed_removal_ends_no_open_request",
    "module_loaded_while_a_removal_runs_leaves_it_to_the_kernel",
    "module_reloaded_while_a_removal_runs_signals_the_next_refusal",
    "module_unloaded_takes_its_promise_back_and_a_reloaded_one_promises_anew",
    "module_unloaded_while_a_removal_runs_lets_the_kernel_signal_its_refusal",
    "refusal_is_hinted_at_when_the_host_stops_taking_reports_in_the_middle_of_an_attempt",
    "refusal_is_one_line_of_the_kernel_log",
    "refusal_that_the_kernel_hints_at_is_told_once_when_the_host_takes_no_reports_any_more",
    "refusals_are_hinted_at_when_the_host_takes_no_reports_any_more",
    "refusals_are_listed_in_order_with_what_refused_and_why",
    "removal_during_which_the_module_is_loaded_is_refused_by_the_hint",
    "removal_during_which_the_module_is_reloaded_is_refused_by_the_hint",
    "removal_of_the_last_cpu_is_signalled_by_the_kernel_alone",
    "request_that_nobody_answered_is_closed_when_the_guest_reboots",
    "requests_for_a_silent_device_leave_room_for_other_devices",
    "two_dimms_asked_for_together_each_get_their_own_outcome",
];

/// Returns the tests within the scope of a kernel that cannot pass there.
fn left_out(flavour: Flavour) -> Vec<String> {
    match flavour {
        Flavour::Kasan => vec![BUILDS.to_owned()],
        Flavour::Hints => {
            let tests = WITHOUT_HINTS.map(|name| format!("test(/::{name}$/)")).join(" | ");
            vec![format!("(binary(conformance) | binary(module)) & ({tests})")]
        }
        Flavour::Answers | Flavour::AnswersKasan => vec![DEBUG.to_owned()],
        Flavour::Default | Flavour::Debug | Flavour::Preempt | Flavour::Bare | Flavour::AnswersDebug => Vec::new(),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use walkdir::WalkDir;

    #[test]
    fn tests_that_are_left_out_are_there() {
        let tests = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests"));
        let sources = ["conformance", "module"].iter().flat_map(|binary| WalkDir::new(tests.join(binary)));
        let files = sources.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        let text: String = files.map(|source| fs::read_to_string(source.path()).unwrap()).collect();
        let absent = WITHOUT_HINTS.iter().filter(|name| !text.contains(&format!("fn {name}()"))).collect::<Vec<_>>();
        assert!(absent.is_empty(), "there are no such tests: {absent:?}");
    }
}
