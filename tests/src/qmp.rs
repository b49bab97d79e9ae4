// SPDX-License-Identifier: MIT OR Apache-2.0

//! QMP: what the host asks, and what it is told.

use crate::{
    deadline::Deadline,
    journal::Journal,
    lines::{Lines, NoLine},
    message::{Body, CommandError, Message, NoMessage},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Write as _, os::unix::net::UnixStream, time::Instant};
use thiserror::Error;

/// A connection to the VMM's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    lines: Lines,
    journal: Journal,
    sent: u64,
    replies: BTreeMap<u64, Result<Value, CommandError>>,
    events: Vec<Event>,
}

/// An event, and when it was read.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub body: Body,
}

/// A moment in the stream of events.
#[derive(Clone, Copy, Debug)]
pub struct Moment(usize);

/// Why there is no answer, or not the one hoped for.
#[derive(Debug, Error)]
pub enum QmpError {
    /// The VMM refused a command.
    #[error("the VMM did not do {command}")]
    Refused {
        /// Which.
        command: String,
        /// Why.
        source: CommandError,
    },
    /// Nothing came.
    #[error("waiting for {what}")]
    Silent {
        /// What was waited for.
        what: String,
        /// Why nothing came.
        source: NoLine,
    },
    /// It speaks something else.
    #[error(transparent)]
    NoMessage(#[from] NoMessage),
}

impl Qmp {
    /// Waits for the server's greeting and takes up the talk.
    pub fn greet(stream: UnixStream, journal: Journal) -> anyhow::Result<Self> {
        let witness = journal.clone();
        let lines = Lines::of(&stream, move |line| witness.add(&format!("<- {line}")))?;
        let mut qmp = Self { stream, lines, journal, sent: 0, replies: BTreeMap::default(), events: Vec::new() };
        while !matches!(qmp.read(Deadline::start(), "the greeting")?, Message::Greeting) {}
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Has a command done.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.sent += 1;
        let id = self.sent;
        let line = json!({ "execute": command, "arguments": arguments, "id": id }).to_string();
        self.journal.add(&format!("-> {line}"));
        let gone = |_| QmpError::Silent { what: command.into(), source: NoLine::Gone };
        self.stream.write_all((line + "\n").as_bytes()).map_err(gone)?;

        let deadline = Deadline::start();
        let answer = loop {
            if let Some(answer) = self.replies.remove(&id) {
                break answer;
            }
            self.note(deadline, &format!("the answer to {command}"))?;
        };
        answer.map_err(|source| QmpError::Refused { command: command.into(), source })
    }

    /// Returns when the VMM has answered: everything that it said before has been read.
    pub fn round_trip(&mut self) -> Result<(), QmpError> {
        self.execute("query-status", json!({})).map(drop)
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        Moment(self.events.len())
    }

    /// What has happened since then, as far as it has been read.
    pub fn since(&self, Moment(first): Moment) -> &[Event] {
        self.events.get(first..).unwrap_or_default()
    }

    /// Waits until something like this has happened since then.
    pub fn wait_for(&mut self, moment: Moment, what: &str, like: impl Fn(&Body) -> bool) -> Result<(), QmpError> {
        let deadline = Deadline::start();
        while !self.since(moment).iter().any(|event| like(&event.body)) {
            self.note(deadline, what)?;
        }
        Ok(())
    }

    /// Reads one message and keeps it where it belongs.
    fn note(&mut self, deadline: Deadline, what: &str) -> Result<(), QmpError> {
        if let Message::Reply { id: Some(id), answer } = self.read(deadline, what)? {
            self.replies.insert(id, answer);
        }
        Ok(())
    }

    fn read(&mut self, deadline: Deadline, what: &str) -> Result<Message, QmpError> {
        let line = self.lines.next(deadline).map_err(|source| QmpError::Silent { what: what.into(), source })?;
        let message = Message::parse(&line.text)?;
        if let Message::Event(body) = &message {
            self.events.push(Event { at: line.at, body: body.clone() });
        }
        Ok(message)
    }
}

impl QmpError {
    /// Whether the VMM is gone.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Silent { source: NoLine::Gone, .. })
    }
}
