// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's second console: a root shell.

use crate::{
    deadline::Deadline,
    guest::marker::{self, Output, Reader},
    stream::{
        lines::{Lines, NoLine},
        log_file::LogFile,
    },
};
use anyhow::{Context as _, Result, ensure};
use std::{collections::BTreeMap, io::Write as _, os::unix::net::UnixStream};

/// What the guest's first process says when a shell is there.
pub const READY: &str = "papr-unplug guest ready";

/// A root shell in the guest. Commands run one after the other, in the order they were started.
#[derive(Debug)]
pub struct Shell {
    stream: UnixStream,
    lines: Lines,
    journal: LogFile,
    reader: Reader,
    started: u64,
    ended: BTreeMap<u64, Output>,
}

/// A command that was started and not yet waited for.
#[derive(Debug)]
#[must_use = "it is to be finished"]
pub struct Started {
    number: u64,
    command: String,
}

impl Shell {
    /// Waits for the guest to say that it has a shell.
    pub fn greet(stream: UnixStream, journal: LogFile) -> Result<Self> {
        let witness = journal.clone();
        let lines = Lines::of(&stream, move |line| witness.add(line))?;
        let mut guest =
            Self { stream, lines, journal, reader: Reader::default(), started: 0, ended: BTreeMap::default() };
        guest.greet_again()?;
        Ok(guest)
    }

    /// Waits for the guest to say that it has another shell. What was started in the one before is forgotten.
    pub fn greet_again(&mut self) -> Result<()> {
        let deadline = Deadline::start();
        while !self.lines.next(deadline).context("waiting for the guest's shell")?.text.contains(READY) {}
        self.reader = Reader::default();
        // Commands themselves read from nowhere, and the terminal is where they write.
        self.sh("stty -echo <&1; PS1=").map(drop)
    }

    /// The same shell, after it has gone to another VMM, which has it on this stream.
    pub fn move_to(self, stream: UnixStream) -> Result<Self> {
        let witness = self.journal.clone();
        let lines = Lines::of(&stream, move |line| witness.add(line))?;
        Ok(Self { stream, lines, ..self })
    }

    /// Runs a command to its end.
    pub fn run(&mut self, command: &str) -> Result<Output> {
        let started = self.start(command)?;
        self.finish(&started)
    }

    /// Runs a command that must succeed; gives what it printed.
    pub fn sh(&mut self, command: &str) -> Result<String> {
        let Output { text, status } = self.run(command)?;
        ensure!(status == 0, "in the guest, `{command}` ended with {status}: {text}");
        Ok(text)
    }

    /// Starts a command (one line, as a shell takes it).
    pub fn start(&mut self, command: &str) -> Result<Started> {
        ensure!(!command.contains('\n'), "a command is one line, and this is not: {command}");
        self.started += 1;
        self.journal.add(&format!("$ {command}"));
        let line = marker::line_for(self.started, command) + "\n";
        // A terminal takes no longer line; what goes over is lost without a word.
        ensure!(line.len() < 4096, "a command this long does not fit into the guest's terminal: {command}");
        self.stream.write_all(line.as_bytes()).map_err(|_| NoLine::Gone)?;
        Ok(Started { number: self.started, command: command.to_owned() })
    }

    /// Waits for the end of a command.
    pub fn finish(&mut self, Started { number, command }: &Started) -> Result<Output> {
        let deadline = Deadline::start();
        loop {
            if let Some(output) = self.ended.remove(number) {
                return Ok(output);
            }
            let line = self.lines.next(deadline).with_context(|| format!("waiting for the end of `{command}`"))?;
            self.ended.extend(self.reader.take(&line.text));
        }
    }
}
