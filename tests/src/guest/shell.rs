// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's second console, which has a root shell.

use crate::{
    deadline::Deadline,
    guest::marker::{self, Output, Reader},
    stream::{
        lines::{LineError, Lines},
        log_file::LogFile,
    },
};
use anyhow::{Context as _, Result, ensure};
use std::{collections::BTreeMap, io::Write as _, os::unix::net::UnixStream};

/// Line that `tests/guest/init` prints before it starts a shell.
pub const READY: &str = "papr-unplug guest ready";

/// Root shell in the guest. Commands run one after the other, in the order in which they were started.
#[derive(Debug)]
pub struct Shell {
    stream: UnixStream,
    lines: Lines,
    log_file: LogFile,
    reader: Reader,
    started: u64,
    ended: BTreeMap<u64, Output>,
}

/// Command that was started and has not been waited for.
#[derive(Debug)]
#[must_use = "the command has to be finished"]
pub struct Started {
    number: u64,
    command: String,
}

impl Shell {
    /// Connects to the shell and waits for its first prompt.
    pub fn connect(stream: UnixStream, log_file: LogFile) -> Result<Self> {
        let observed = log_file.clone();
        let lines = Lines::of(&stream, move |line| observed.add(line))?;
        let mut guest =
            Self { stream, lines, log_file, reader: Reader::default(), started: 0, ended: BTreeMap::default() };
        guest.await_prompt()?;
        Ok(guest)
    }

    /// Waits for the prompt of a new shell. Commands that the shell before it had not finished are lost.
    pub fn await_prompt(&mut self) -> Result<()> {
        let deadline = Deadline::start();
        while !self.lines.next(deadline).context("waiting for the guest's shell")?.text.contains(READY) {}
        self.reader = Reader::default();
        // Commands read from /dev/null and write to the terminal.
        self.sh("stty -echo <&1; PS1=").map(drop)
    }

    /// Connects to the same shell on the stream of another VMM, to which the guest has migrated.
    pub fn move_to(self, stream: UnixStream) -> Result<Self> {
        let observed = self.log_file.clone();
        let lines = Lines::of(&stream, move |line| observed.add(line))?;
        Ok(Self { stream, lines, ..self })
    }

    /// Runs a command and waits for its end.
    pub fn run(&mut self, command: &str) -> Result<Output> {
        let started = self.start(command)?;
        self.finish(&started)
    }

    /// Runs a command and returns its output. Fails if its exit status is not 0.
    pub fn sh(&mut self, command: &str) -> Result<String> {
        let Output { text, status } = self.run(command)?;
        ensure!(status == 0, "in the guest, `{command}` ended with {status}: {text}");
        Ok(text)
    }

    /// Starts a command, which must be one line.
    pub fn start(&mut self, command: &str) -> Result<Started> {
        ensure!(!command.contains('\n'), "a command is one line, and this is not: {command}");
        self.started += 1;
        self.log_file.add(&format!("$ {command}"));
        let line = marker::line_for(self.started, command) + "\n";
        // The terminal drops what exceeds its line buffer, without an error.
        ensure!(line.len() < 4096, "a command this long does not fit into the guest's terminal: {command}");
        self.stream.write_all(line.as_bytes()).map_err(|_| LineError::Closed)?;
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
