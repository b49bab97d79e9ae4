// SPDX-License-Identifier: MIT OR Apache-2.0

//! QMP connection beside a qtest connection.
//!
//! QEMU's main thread makes qtest's RTAS calls and writes QMP events, and writes the events before it answers the call.
//! So the events of a call can be read without waiting once the call has been answered.

use crate::connection::Connection;
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_qmp::{
    message::{CommandError, Event, Message},
    session::Session,
};
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};

/// A connection to the VMM's monitor.
#[derive(Debug)]
pub struct Monitor {
    connection: Connection,
    unread: Vec<u8>,
    session: Session,
    events: Vec<Event>,
}

/// The result of a command.
#[derive(Debug)]
pub enum Reply {
    /// The command's return value.
    Done(Value),
    /// The command's error.
    Refused(CommandError),
    /// The VMM is gone.
    Gone,
}

impl Monitor {
    /// Waits for the server's greeting and negotiates capabilities.
    pub fn greet(connection: Connection) -> Result<Self> {
        let mut monitor = Self { connection, unread: Vec::new(), session: Session::default(), events: Vec::new() };
        match monitor.execute("qmp_capabilities", json!({}))? {
            Reply::Done(_) => Ok(monitor),
            other => bail!("the VMM's monitor cannot be used: {other:?}"),
        }
    }

    /// Executes a command.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Reply> {
        let line = self.session.command(command, &arguments);
        if self.connection.write_all(line.as_bytes()).is_err() {
            return Ok(Reply::Gone);
        }
        loop {
            self.sort()?;
            if let Some(answer) = self.session.answer() {
                return Ok(answer.map_or_else(Reply::Refused, Reply::Done));
            }
            if !self.fill().with_context(|| format!("waiting for the answer to {command}"))? {
                return Ok(Reply::Gone);
            }
        }
    }

    /// Waits for an event of this name, without taking it. Returns false if the VMM is gone.
    pub fn wait_for(&mut self, name: &str, like: impl Fn(&Event) -> bool) -> Result<bool> {
        loop {
            self.sort()?;
            if self.events.iter().any(|event| event.name() == name && like(event)) {
                return Ok(true);
            }
            if !self.fill().with_context(|| format!("waiting for {name}"))? {
                return Ok(false);
            }
        }
    }

    /// Takes the events that have arrived, oldest first.
    pub fn take_events(&mut self) -> Result<Vec<Event>> {
        while self.fill_now().context("cannot read what the VMM tells")? {}
        self.sort()?;
        Ok(std::mem::take(&mut self.events))
    }

    /// Sorts the messages read into events and the answer.
    fn sort(&mut self) -> Result<()> {
        while let Some(message) = self.next_message()? {
            self.events.extend(self.session.receive(message));
        }
        Ok(())
    }

    /// Waits for bytes and reads them. Returns false at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let read = self.connection.read(&mut bytes);
        self.keep(&bytes, read)
    }

    /// Reads bytes that have arrived. Returns false if none have, or at the end of the stream.
    fn fill_now(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let read = self.connection.read_now(&mut bytes);
        if matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            return Ok(false);
        }
        self.keep(&bytes, read)
    }

    fn keep(&mut self, bytes: &[u8], read: io::Result<usize>) -> io::Result<bool> {
        match read {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.unread.extend_from_slice(&bytes[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn next_message(&mut self) -> Result<Option<Message>> {
        let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let text = String::from_utf8_lossy(&line);
        ensure!(!text.trim().is_empty(), "the VMM's monitor sent an empty line");
        Ok(Some(Message::parse(text.trim_end())?))
    }
}
