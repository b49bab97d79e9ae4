// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask drill`: damages artifacts in the ways that disks, people and power cuts do, and expects them to be made
//! again.
//!
//! The command runs this program as a user does, on the user's own cache. What is damaged is made again.

use crate::run::Progress;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The paths that `artifacts --json` prints.
#[derive(Debug)]
struct Paths(Value);

impl Paths {
    fn of(&self, name: &str) -> Result<PathBuf> {
        self.0[name].as_str().map(PathBuf::from).with_context(|| format!("`artifacts --json` names no {name}"))
    }
}

/// Runs all drills, with `slow` also those that build the kernel again.
pub(crate) fn run(progress: &Progress, slow: bool) -> Result<()> {
    let paths = repaired(&[])?;
    let mut files = vec!["module", "initramfs", "qemu_stock"];
    files.extend(slow.then_some("kernel"));
    for name in &files {
        progress.say(format!("==> one byte of the {name} changes"));
        flip_bit(&paths.of(name)?)?;
        repaired(&["was changed after it was made"])?;
    }
    for name in &files {
        progress.say(format!("==> the {name} is deleted"));
        fs::remove_file(paths.of(name)?)?;
        repaired(&["is missing; making it again"])?;
    }

    progress.say("==> a run is killed at work");
    fs::remove_file(paths.of("module")?)?;
    let mut victim = start()?;
    read_until(&mut victim, "==> module")?;
    victim.kill()?;
    victim.wait()?;
    repaired(&["left by a run that was interrupted", "==> module"])?;

    progress.say("==> two runs at once");
    fs::remove_file(paths.of("module")?)?;
    let mut first = start()?;
    read_until(&mut first, "==> module")?;
    repaired(&["another run is at work on it, waiting for that"])?;
    ensure!(first.wait()?.success(), "the first of two runs failed");
    progress.say("all drills passed");
    Ok(())
}

/// Runs `artifacts`, expects it to succeed and to print all of `words`, and expects a second run to make nothing.
fn repaired(words: &[&str]) -> Result<Paths> {
    let (paths, said) = finished(start()?)?;
    for word in words {
        ensure!(said.contains(word), "`artifacts` did not print \"{word}\", but:\n{said}");
    }
    let (again, said) = finished(start()?)?;
    ensure!(!said.contains("==>"), "a second run had something to make:\n{said}");
    ensure!(paths.0 == again.0, "a second run gave other paths");
    Ok(again)
}

fn start() -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["artifacts", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("cannot run this program")
}

fn finished(child: Child) -> Result<(Paths, String)> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "`artifacts` failed ({}):\n{said}", output.status);
    Ok((Paths(serde_json::from_slice(&output.stdout)?), said))
}

/// Reads the standard error of a run, up to and including the line that begins with `mark`.
fn read_until(child: &mut Child, mark: &str) -> Result<()> {
    let stderr = child.stderr.as_mut().context("it has no standard error")?;
    // A larger buffer would take in what follows the mark, which the caller reads.
    for line in BufReader::with_capacity(1, stderr).lines() {
        if line?.starts_with(mark) {
            return Ok(());
        }
    }
    anyhow::bail!("the run ended and did not print `{mark}`")
}

/// Inverts one bit in the middle of a file.
fn flip_bit(path: &Path) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let middle = SeekFrom::Start(file.metadata()?.len() / 2);
    let mut byte = [0];
    file.seek(middle)?;
    file.read_exact(&mut byte)?;
    file.seek(middle)?;
    file.write_all(&[byte[0] ^ 1])?;
    Ok(())
}
