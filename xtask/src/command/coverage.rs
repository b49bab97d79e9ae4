// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask coverage`: lines of the host crate that its own tests run, counted by cargo-llvm-cov.

use crate::{cache::Store, command::tool::LLVM_COV};
use anyhow::{Context, Result, ensure};

/// Runs the tests, and prints a line for each file. Fails if they run less than 95 % of the lines.
pub(crate) fn run(store: &Store) -> Result<()> {
    let mut cargo = LLVM_COV.cargo(store)?;
    cargo.args(["llvm-cov", "--package", "papr-unplug", "--tests", "--fail-under-lines", "95"]);
    // What else is compiled for the tests is not counted.
    cargo.args(["--ignore-filename-regex", "/(host-vmm/(tests|benches|examples)|spec)/"]);
    ensure!(cargo.status().context("cannot run cargo")?.success(), "`cargo llvm-cov` failed");
    Ok(())
}
