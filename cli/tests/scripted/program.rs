// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr-unplug` as a child process.

use crate::server::Server;
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use snapbox::cmd::{Command, OutputAssert};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read},
    os::unix::net::UnixStream,
    process::{self, Child, Stdio},
};

/// Runs a command with a server and waits for its end.
pub(crate) fn papr_unplug(server: &Server, words: &[&str]) -> OutputAssert {
    let command = Command::new(env!("CARGO_BIN_EXE_papr-unplug"));
    command.args(words).arg("--qmp").arg(server.socket()).assert()
}

/// Running command.
pub(crate) struct RunningProgram {
    child: Child,
    notes: BufReader<Box<dyn Read>>,
}

impl RunningProgram {
    pub(crate) fn start(server: &Server, words: &[&str]) -> Self {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_papr-unplug"));
        command.args(words).arg("--qmp").arg(server.socket());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let notes = BufReader::new(Box::new(child.stderr.take().unwrap()) as Box<dyn Read>);
        Self { child, notes }
    }

    /// Starts a command with standard error on a terminal; returns the terminal's other end as well.
    pub(crate) fn start_on_terminal(server: &Server, words: &[&str]) -> (Self, File) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let near = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        // The notes go to the terminal; this reader is never used.
        let (notes, _) = UnixStream::pair().unwrap();
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_papr-unplug"));
        command.args(words).arg("--qmp").arg(server.socket()).env("TERM", "xterm");
        let child = command.stdout(Stdio::piped()).stderr(near).spawn().unwrap();
        (Self { child, notes: BufReader::new(Box::new(notes)) }, terminal.into())
    }

    /// Waits for the next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        let output = self.child.stdout.as_mut().unwrap();
        while line.last() != Some(&b'\n') && output.read(&mut byte).unwrap() == 1 {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Waits for the next note.
    pub(crate) fn note(&mut self) -> String {
        let mut line = String::new();
        self.notes.read_line(&mut line).unwrap();
        line
    }

    /// Closes the reading end of the command's standard output.
    pub(crate) fn hang_up(&mut self) {
        drop(self.child.stdout.take());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the command's end; returns its exit status and output.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_string(&mut text).unwrap();
        }
        (self.child.wait().unwrap().code(), text)
    }
}
