// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr-unplug` as a child process.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
};

/// Running command.
pub(crate) struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    notes: BufReader<ChildStderr>,
}

/// Result of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) text: String,
    pub(crate) notes: String,
}

impl Program {
    /// Starts `papr-unplug` with the monitor at the abstract socket `monitor`.
    pub(crate) fn start(monitor: &str, words: &[&str]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_papr-unplug"));
        command.args(words).arg("--qmp").arg(format!("@{monitor}"));
        Self::of(command)
    }

    /// Starts a command.
    pub(crate) fn of(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let notes = BufReader::new(child.stderr.take().context("no notes")?);
        Ok(Self { child, output, notes })
    }

    /// Runs a command and waits for its end.
    pub(crate) fn run(monitor: &str, words: &[&str]) -> Result<Ended> {
        Self::start(monitor, words)?.end()
    }

    /// Waits for a line on standard error.
    pub(crate) fn note(&mut self) -> Result<String> {
        let mut line = String::new();
        self.notes.read_line(&mut line)?;
        Ok(line)
    }

    /// Waits for a note with this beginning; there may be others before, on a busy machine.
    pub(crate) fn note_that(&mut self, beginning: &str) -> Result<()> {
        loop {
            let note = self.note()?;
            ensure!(!note.is_empty(), "the program has ended without the note {beginning:?}");
            if note.starts_with(&format!("papr-unplug: {beginning}")) {
                return Ok(());
            }
        }
    }

    /// Waits for a line on standard output.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// Sends the signal of Ctrl-C.
    pub(crate) fn interrupt(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// Waits for the command's end; returns the output that was not read before.
    pub(crate) fn end(mut self) -> Result<Ended> {
        let (mut text, mut notes) = (String::new(), String::new());
        self.output.read_to_string(&mut text)?;
        self.notes.read_to_string(&mut notes)?;
        Ok(Ended { status: self.child.wait()?.code(), text, notes })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
