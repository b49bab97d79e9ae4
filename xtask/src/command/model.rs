// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask model`: explores the executable model of the protocol.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs the model with these arguments.
pub(crate) fn run(checkout: &Path, arguments: &[OsString]) -> Result<()> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--quiet", "--package", "papr-unplug-model", "--"]).args(arguments).current_dir(checkout);
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "the model does not show what it should; it says above what");
    Ok(())
}
