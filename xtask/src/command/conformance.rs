// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask conformance`: judges guests and VMMs by the clauses of the specification.

use crate::{
    artifacts::{Artifacts, flavour::Flavour, linux_tree::Series},
    cache::Store,
    run::machine,
};
use anyhow::{Context, Result, ensure};
use papr_unplug_conformance::{
    judge::{Report, Subject},
    vm::GuestDir,
};
use papr_unplug_differential::program::Program;
use papr_unplug_tests::pairing::Side;
use std::{env, path::PathBuf};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Conformance {
    /// A directory with a guest: `kernel`, `initramfs`, `arguments` (spec/conformance.md says what it has to do)
    #[arg(long, value_name = "DIR")]
    guest: Option<PathBuf>,
    /// A VMM, which is started with options of qemu-system-ppc64 (the same page says which it has to heed)
    #[arg(long, value_name = "PROGRAM")]
    vmm: Option<PathBuf>,
    /// Judge only the guests with this kernel: one that hints at every refusal without the module, too, and one that
    /// answers by itself without it alone
    #[arg(long, value_enum, conflicts_with_all = ["guest", "vmm"])]
    kernel: Option<Flavour>,
    #[command(flatten)]
    report: Report,
}

/// Judges what the user names, or this project's own and stock parts, and toys.
pub(crate) fn run(store: &Store, arguments: &Conformance) -> Result<()> {
    let kernel = arguments.kernel.unwrap_or(Flavour::Default);
    let artifacts = Artifacts::ensure(store, kernel)?;
    let artifacts = artifacts.for_harness()?;
    let mut subjects = Vec::new();
    if let Some(dir) = &arguments.guest {
        let dir = dir.canonicalize().with_context(|| format!("no guest at {}", dir.display()))?;
        subjects.push(Subject::Guest("guest".to_owned(), GuestDir(dir)));
    }
    if let Some(program) = &arguments.vmm {
        let program = program.canonicalize().with_context(|| format!("no VMM at {}", program.display()))?;
        subjects.push(Subject::Vmm("VMM".to_owned(), Program::new(&program, &artifacts.qemu_data)));
    }
    if arguments.kernel.is_some() {
        let sides: &[Side] = match kernel.series() {
            Series::General => &[Side::Ours],
            Series::Removal => &[Side::Ours, Side::Stock],
            Series::Answer => &[Side::Stock],
        };
        for side in sides {
            let about = if *side == Side::Ours { side.to_string() } else { kernel.name().to_owned() };
            subjects.push(Subject::Guest(about, GuestDir::of_ours(&artifacts, *side)?));
        }
    }
    let is_named = !subjects.is_empty();
    if !is_named {
        for side in [Side::Ours, Side::Stock] {
            subjects.push(Subject::Guest(side.to_string(), GuestDir::of_ours(&artifacts, side)?));
            subjects.push(Subject::Vmm(side.to_string(), Program::of(&artifacts, side)?));
        }
        subjects.push(Subject::ToyGuest);
        subjects.push(Subject::Vmm("toy VMM".to_owned(), Program::new(&toy_vmm(store)?, &artifacts.qemu_data)));
    }
    let has_failed = arguments.report.of(&artifacts, &subjects, &|line| store.progress.say(line))?;
    ensure!(!is_named || !has_failed, "clauses failed");
    Ok(())
}

/// Builds the toy VMM beside this program, and returns its path.
fn toy_vmm(store: &Store) -> Result<PathBuf> {
    let mut cargo = machine::cargo(&store.settings.checkout);
    cargo.args(["build", "--quiet", "--package", "papr-unplug-conformance", "--bin", "toy-vmm"]);
    ensure!(cargo.status().context("cannot run cargo")?.success(), "the toy VMM does not build");
    Ok(env::current_exe().context("this program has no path")?.with_file_name("toy-vmm"))
}
