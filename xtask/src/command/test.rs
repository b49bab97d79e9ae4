// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask test`: runs everything that has to pass before a change is sent.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel, flavour::Flavour},
    cache::Store,
    command::tool::NEXTEST,
    run::machine,
};
use anyhow::{Context, Result, ensure};
use papr_unplug_tests::{artifacts::VARIABLE, vmm::kvm};
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::SystemTime,
};

/// The accelerator of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Accel {
    /// Emulation.
    Tcg,
    /// KVM-HV, in a host that is emulated.
    Kvm,
    /// The same with pages of 64 KiB in the host.
    #[value(name = "kvm-64k")]
    Kvm64k,
}

impl Accel {
    /// Adds what guests with this accelerator take.
    pub(crate) fn add_to(self, artifacts: &mut Artifacts, store: &Store) -> Result<()> {
        match self {
            Self::Tcg => Ok(()),
            Self::Kvm => artifacts.add_kvm(store, DebianKernel::Trixie),
            Self::Kvm64k => artifacts.add_kvm(store, DebianKernel::Trixie64k),
        }
    }
}

/// The list of artifacts, below `target`, for tests that are run by hand later, too.
pub(crate) const FILE: &str = "artifacts.json";

/// The package whose tests boot guests.
const VM_TESTS: &str = "papr-unplug-tests";

/// Runs the suite, or, with arguments for nextest, only nextest.
pub(crate) fn run(store: &Store, flavour: Flavour, accel: Accel, nextest: &[OsString]) -> Result<()> {
    let is_all = nextest.is_empty() && flavour == Flavour::Default && accel == Accel::Tcg;
    if is_all {
        machine::require(&store.progress, machine::TEST_TOOLS)?;
        cargo(store, &["fmt", "--all", "--check"])?;
        cargo(store, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    }
    let mut artifacts = Artifacts::ensure(store, flavour)?;
    accel.add_to(&mut artifacts, store)?;
    if is_all {
        cargo(store, &["test", "--quiet", "--doc", "--workspace"])?;
    }
    let arguments: Vec<OsString> =
        scope(flavour, accel).iter().map(Into::into).chain(nextest.iter().cloned()).collect();
    let begun = SystemTime::now();
    let tested = self::nextest(store, (&artifacts, FILE), &arguments, &[]);
    if accel != Accel::Tcg {
        store.progress.say(format!("==> {}", kvm::Exits::since(begun)?));
    }
    tested
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

/// Returns the arguments that select the tests for which the kernel or the accelerator matters. `.config/nextest.toml` has
/// a profile for each.
fn scope(flavour: Flavour, accel: Accel) -> Vec<String> {
    let profile = match (flavour, accel) {
        (Flavour::Default, Accel::Tcg) => return vec!["--workspace".to_owned()],
        (Flavour::Default, Accel::Kvm | Accel::Kvm64k) => "kvm".to_owned(),
        _ => format!("kernel-{}", flavour.name()),
    };
    let mut arguments = ["--package", VM_TESTS, "--profile", &profile].map(str::to_owned).to_vec();
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
