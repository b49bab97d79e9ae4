// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask conformance`: judges guests and VMMs by the clauses of the specification.

use crate::{
    artifacts::{Artifacts, flavour::Flavour, linux_tree::Series},
    cache::store::Store,
};
use anyhow::{Context, Result, ensure};
use papr_unplug_conformance::{
    judge,
    verdict::{self, Verdicts},
    vm::GuestDir,
};
use papr_unplug_differential::program::Program;
use papr_unplug_tests::pairing::Side;
use std::{env, fs, path::PathBuf, process::Command};

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
    /// Also write the verdicts to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print tables, as in spec/conformance.md, instead of a line for each clause
    #[arg(long)]
    table: bool,
}

/// Judges what the user names, or this project's own and stock parts, and toys.
pub(crate) fn run(store: &Store, arguments: &Conformance) -> Result<()> {
    let kernel = arguments.kernel.unwrap_or(Flavour::Default);
    let artifacts = Artifacts::ensure(store, kernel)?;
    let artifacts = artifacts.for_harness()?;
    let is_named = arguments.guest.is_some() || arguments.vmm.is_some() || arguments.kernel.is_some();
    let (mut guests, mut vmms) = (Vec::new(), Vec::new());
    if let Some(dir) = &arguments.guest {
        let dir = dir.canonicalize().with_context(|| format!("no guest at {}", dir.display()))?;
        store.progress.say(format!("==> the guest in {}", dir.display()));
        guests.push(judge::guest(&artifacts, &GuestDir(dir), "guest")?);
    }
    if let Some(program) = &arguments.vmm {
        let program = program.canonicalize().with_context(|| format!("no VMM at {}", program.display()))?;
        store.progress.say(format!("==> the VMM {}", program.display()));
        vmms.push(judge::vmm(&Program::new(&program, &artifacts.qemu_data), "VMM")?);
    }
    if arguments.kernel.is_some() {
        let sides: &[Side] = match kernel.series() {
            Series::General => &[Side::Ours],
            Series::Removal => &[Side::Ours, Side::Stock],
            Series::Answer => &[Side::Stock],
        };
        for side in sides {
            let about = if *side == Side::Ours { side.to_string() } else { kernel.name().to_owned() };
            store.progress.say(format!("==> {about}: guest"));
            guests.push(judge::guest(&artifacts, &GuestDir::of_ours(&artifacts, *side)?, &about)?);
        }
    }
    if !is_named {
        for side in [Side::Ours, Side::Stock] {
            store.progress.say(format!("==> {side}: guest and VMM"));
            guests.push(judge::guest(&artifacts, &GuestDir::of_ours(&artifacts, side)?, &side.to_string())?);
            vmms.push(judge::vmm(&Program::of(&artifacts, side)?, &side.to_string())?);
        }
        store.progress.say("==> toys: guest and VMM");
        guests.push(judge::toy()?);
        vmms.push(judge::vmm(&Program::new(&toy_vmm(store)?, &artifacts.qemu_data), "toy VMM")?);
    }
    if arguments.table {
        println!("{}\n{}", verdict::table(&guests), verdict::table(&vmms));
    } else {
        guests.iter().chain(&vmms).for_each(|verdicts| println!("{verdicts}\n"));
    }
    if let Some(file) = &arguments.json {
        let all: Vec<&Verdicts> = guests.iter().chain(&vmms).collect();
        let text = serde_json::to_string_pretty(&all)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let has_failed = guests.iter().chain(&vmms).any(|verdicts| verdicts.has_failed());
    ensure!(!is_named || !has_failed, "clauses failed");
    Ok(())
}

/// Builds the toy VMM beside this program, and returns its path.
fn toy_vmm(store: &Store) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "papr-unplug-conformance", "--bin", "toy-vmm"]);
    let status = cargo.current_dir(&store.settings.checkout).status().context("cannot run cargo")?;
    ensure!(status.success(), "the toy VMM does not build");
    Ok(env::current_exe().context("this program has no path")?.with_file_name("toy-vmm"))
}
