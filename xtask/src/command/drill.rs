// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask drill`: damages artifacts in the ways that disks, people and power cuts do, and expects them to be made
//! again.
//!
//! The command runs this program as a user does, on the user's own cache. What is damaged is made again.

use crate::run::Progress;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Runs all drills, with `slow` also those that build the kernel again.
pub(crate) fn run(progress: &Progress, slow: bool) -> Result<()> {
    let paths = repaired(&[])?;
    let path = |name: &str| {
        paths[name].as_str().map(PathBuf::from).with_context(|| format!("`artifacts --json` names no {name}"))
    };
    for name in ["module", "initramfs", "qemu_stock"].into_iter().chain(slow.then_some("kernel")) {
        progress.say(format!("==> one byte of the {name} changes"));
        let mut bytes = fs::read(path(name)?)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path(name)?, bytes)?;
        repaired(&["was changed after it was made"])?;
        progress.say(format!("==> the {name} is deleted"));
        fs::remove_file(path(name)?)?;
        repaired(&["is missing; making it again"])?;
    }

    progress.say("==> a run is killed at work");
    let mut victim = start_without(&path("module")?)?;
    victim.kill()?;
    victim.wait()?;
    repaired(&["left by a run that was interrupted", "==> module"])?;

    progress.say("==> two runs at once");
    let mut first = start_without(&path("module")?)?;
    repaired(&["another run is at work on it, waiting for that"])?;
    ensure!(first.wait()?.success(), "the first of two runs failed");
    progress.say("all drills passed");
    Ok(())
}

/// Runs `artifacts`, expects it to succeed and to print all of `words`, and expects a second run to make nothing.
fn repaired(words: &[&str]) -> Result<Value> {
    let (paths, said) = finished()?;
    for word in words {
        ensure!(said.contains(word), "`artifacts` did not print \"{word}\", but:\n{said}");
    }
    let (again, said) = finished()?;
    ensure!(!said.contains("==>"), "a second run had something to make:\n{said}");
    ensure!(paths == again, "a second run gave other paths");
    Ok(paths)
}

fn start() -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["artifacts", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("cannot run this program")
}

/// Runs `artifacts`, and returns the paths and what it said.
fn finished() -> Result<(Value, String)> {
    let output = start()?.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "`artifacts` failed ({}):\n{said}", output.status);
    Ok((serde_json::from_slice(&output.stdout)?, said))
}

/// Removes the module, and starts a run that makes it again. Returns as soon as the run is at work.
fn start_without(module: &PathBuf) -> Result<Child> {
    fs::remove_file(module)?;
    let mut child = start()?;
    let stderr = child.stderr.as_mut().context("it has no standard error")?;
    for line in BufReader::new(stderr).lines() {
        if line?.starts_with("==> module") {
            return Ok(child);
        }
    }
    anyhow::bail!("the run ended and did not print `==> module`")
}
