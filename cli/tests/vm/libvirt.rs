// SPDX-License-Identifier: MIT OR Apache-2.0

//! Domains of libvirt that run already. `cargo xtask libvirt` runs these tests.

mod ours;
mod stock;

use crate::program::{Ended, Program};
use anyhow::{Result, bail};
use papr_unplug_tests::{
    artifacts::Artifacts,
    libvirt::{
        daemon::Virsh,
        domain::{Domain, NAME},
    },
    pairing::Side,
};
use std::path::Path;

/// Starts a domain.
fn domain(vmm: Side, name: &str) -> Result<Domain> {
    Domain::start(&Artifacts::find()?, vmm, &format!("cli.libvirt.{name}"))
}

/// Starts the program beside libvirt, for the domain.
fn start(domain: &Domain, words: &[&str]) -> Result<Program> {
    let mut command = domain.daemon.command(Path::new(env!("CARGO_BIN_EXE_papr-unplug")))?;
    command.args(words).args(["--domain", NAME]);
    Program::of(command)
}

/// Runs the program beside libvirt and waits for its end.
fn run(domain: &Domain, words: &[&str]) -> Result<Ended> {
    start(domain, words)?.end()
}

/// Starts `watch`, and returns when no outcome is missed any more.
fn watch(domain: &Domain, words: &[&str]) -> Result<Program> {
    let mut watch = start(domain, words)?;
    watch.note_that("following the VM")?;
    Ok(watch)
}

/// Returns what a `virsh` command printed.
fn done(virsh: Virsh) -> Result<String> {
    match virsh {
        Virsh::Done(text) => Ok(text),
        Virsh::Failed(error) => bail!("{error}"),
    }
}
