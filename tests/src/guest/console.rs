// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's first console: the kernel log. (The VMM itself keeps `console.log`.)

use crate::{
    deadline::Deadline,
    stream::lines::{Lines, NoLine},
};
use std::{io, os::unix::net::UnixStream};

/// The guest's kernel log.
#[derive(Debug)]
pub struct Console {
    lines: Lines,
    log: Vec<String>,
}

impl Console {
    /// Listens to this stream.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { lines: Lines::of(stream, |_| {})?, log: Vec::new() })
    }

    /// The same console, after its guest has gone to another VMM, which has it on this stream.
    pub fn move_to(self, stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { lines: Lines::of(stream, |_| {})?, ..self })
    }

    /// Waits for a line with this text in it.
    pub fn wait_for(&mut self, text: &str) -> Result<(), NoLine> {
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

    /// Waits for a line with this text in it, and forgets what was before: it is another kernel's that begins here.
    pub fn begin_anew(&mut self, text: &str) -> Result<(), NoLine> {
        self.wait_for(text)?;
        self.log.drain(..self.log.len() - 1);
        Ok(())
    }

    /// Forgets the lines with this text in them that have been waited past.
    pub fn forget(&mut self, text: &str) {
        self.log.retain(|line| !line.contains(text));
    }

    /// Waits for the VMM to end.
    pub fn wait_for_end(&mut self) -> Result<(), NoLine> {
        loop {
            match self.lines.next(Deadline::start()) {
                Ok(line) => self.log.push(line.text),
                Err(NoLine::Gone) => return Ok(()),
                Err(NoLine::Late) => return Err(NoLine::Late),
            }
        }
    }

    /// The lines that have been waited past.
    pub fn log(&self) -> &[String] {
        &self.log
    }
}
