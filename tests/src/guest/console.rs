// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's first console, which has the kernel log. (QEMU itself writes `console.log`.)

use crate::{
    deadline::Deadline,
    stream::lines::{LineError, Lines},
};
use std::{io, os::unix::net::UnixStream};

/// Kernel log of the guest, as far as it was read.
#[derive(Debug)]
pub struct Console {
    lines: Lines,
    log: Vec<String>,
}

impl Console {
    /// Reads the kernel log from a stream.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { lines: Lines::of(stream, |_| {})?, log: Vec::new() })
    }

    /// Reads on from the stream of another VMM, to which the guest has migrated.
    pub fn move_to(self, stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { lines: Lines::of(stream, |_| {})?, ..self })
    }

    /// Waits for a line that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> Result<(), LineError> {
        let deadline = Deadline::start();
        loop {
            let line = self.lines.next(deadline)?.text;
            let found = line.contains(text);
            self.log.push(line);
            if found {
                return Ok(());
            }
        }
    }

    /// Waits for a line that contains `text`, and drops the lines before it: the log of another kernel begins here.
    pub fn begin_anew(&mut self, text: &str) -> Result<(), LineError> {
        self.wait_for(text)?;
        self.log.drain(..self.log.len() - 1);
        Ok(())
    }

    /// Drops the lines that contain `text`.
    pub fn forget(&mut self, text: &str) {
        self.log.retain(|line| !line.contains(text));
    }

    /// Reads until the VMM ends.
    pub fn wait_for_end(&mut self) -> Result<(), LineError> {
        loop {
            match self.lines.next(Deadline::start()) {
                Ok(line) => self.log.push(line.text),
                Err(LineError::Closed) => return Ok(()),
                Err(LineError::Timeout) => return Err(LineError::Timeout),
            }
        }
    }

    /// Returns the lines that were read.
    pub fn log(&self) -> &[String] {
        &self.log
    }
}
