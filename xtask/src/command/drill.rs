// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask drill`: does to the artifacts what disks, people and power cuts do, and expects them to mend.
//!
//! It runs this program itself, as a user would, on the user's own cache; nothing is lost that is not made again.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::progress::Progress;

/// Paths by name, as `artifacts --json` prints them.
#[derive(Debug)]
struct Paths(Value);

impl Paths {
    fn of(&self, name: &str) -> Result<PathBuf> {
        self.0[name].as_str().map(PathBuf::from).with_context(|| format!("`artifacts --json` names no {name}"))
    }
}

/// Runs all drills; with `slow` also those that build the kernel again.
pub(crate) fn run(progress: &Progress, slow: bool) -> Result<()> {
    let paths = mended(&[])?;
    let mut files = vec!["module", "initramfs", "qemu_stock"];
    files.extend(slow.then_some("kernel"));
    for name in &files {
        progress.say(format!("==> one byte of the {name} changes"));
        flip(&paths.of(name)?)?;
        mended(&["was changed after it was made"])?;
    }
    for name in &files {
        progress.say(format!("==> the {name} is deleted"));
        fs::remove_file(paths.of(name)?)?;
        mended(&["is missing; making it again"])?;
    }

    progress.say("==> a run is killed at work");
    fs::remove_file(paths.of("module")?)?;
    let mut victim = start()?;
    read_until(&mut victim, "==> module")?;
    victim.kill()?;
    victim.wait()?;
    mended(&["left by a run that was interrupted", "==> module"])?;

    progress.say("==> two runs at once");
    fs::remove_file(paths.of("module")?)?;
    let mut first = start()?;
    read_until(&mut first, "==> module")?;
    mended(&["another run is at work on it, waiting for that"])?;
    ensure!(first.wait()?.success(), "the first of two runs failed");
    progress.say("all drills passed");
    Ok(())
}

/// Runs `artifacts` to its good end, expects it to say all of `words`, and expects a second run to find nothing to do.
fn mended(words: &[&str]) -> Result<Paths> {
    let (paths, said) = finished(start()?)?;
    for word in words {
        ensure!(said.contains(word), "`artifacts` did not say \"{word}\", but:\n{said}");
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

/// Reads what a run says, up to and including the line that begins with `mark`.
fn read_until(child: &mut Child, mark: &str) -> Result<()> {
    let stderr = child.stderr.as_mut().context("it has no standard error")?;
    // One byte at a time: what comes after the mark is for others to read.
    for line in BufReader::with_capacity(1, stderr).lines() {
        if line?.starts_with(mark) {
            return Ok(());
        }
    }
    anyhow::bail!("the run ended without saying `{mark}`")
}

fn flip(path: &Path) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let middle = SeekFrom::Start(file.metadata()?.len() / 2);
    let mut byte = [0];
    file.seek(middle)?;
    file.read_exact(&mut byte)?;
    file.seek(middle)?;
    file.write_all(&[byte[0] ^ 1])?;
    Ok(())
}
