// SPDX-License-Identifier: MIT OR Apache-2.0

//! QMP: what the host asks, and what it is told.

use crate::{
    deadline::Deadline,
    stream::{
        lines::{Lines, NoLine},
        log_file::LogFile,
    },
};
use papr_unplug_qmp::{
    message::{self, CommandError, Message, ParseError},
    session::Session,
};
use serde_json::{Value, json};
use std::{io::Write as _, os::unix::net::UnixStream, time::Instant};
use thiserror::Error;

/// A connection to the VMM's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    lines: Lines,
    journal: LogFile,
    session: Session,
    events: Vec<Event>,
}

/// An event, and when it was read.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub body: message::Event,
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
    NoMessage(#[from] ParseError),
}

impl Qmp {
    /// Waits for the server's greeting and takes up the talk.
    pub fn greet(stream: UnixStream, journal: LogFile) -> anyhow::Result<Self> {
        let witness = journal.clone();
        let lines = Lines::of(&stream, move |line| witness.add(&format!("<- {line}")))?;
        let mut qmp = Self { stream, lines, journal, session: Session::default(), events: Vec::new() };
        while !matches!(qmp.read(Deadline::start(), "the greeting")?, (_, Message::Greeting)) {}
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Has a command done.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let line = self.session.command(command, &arguments);
        self.journal.add(&format!("-> {}", line.trim_end()));
        let gone = |_| QmpError::Silent { what: command.into(), source: NoLine::Gone };
        self.stream.write_all(line.as_bytes()).map_err(gone)?;

        let deadline = Deadline::start();
        let answer = loop {
            if let Some(answer) = self.session.answer() {
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

    /// When the talk began.
    pub fn begin(&self) -> Moment {
        Moment(0)
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
    pub fn wait_for(
        &mut self,
        moment: Moment,
        what: &str,
        like: impl Fn(&message::Event) -> bool,
    ) -> Result<(), QmpError> {
        let deadline = Deadline::start();
        while !self.since(moment).iter().any(|event| like(&event.body)) {
            self.note(deadline, what)?;
        }
        Ok(())
    }

    /// Reads one message and keeps it where it belongs.
    fn note(&mut self, deadline: Deadline, what: &str) -> Result<(), QmpError> {
        let (at, message) = self.read(deadline, what)?;
        self.events.extend(self.session.receive(message).map(|body| Event { at, body }));
        Ok(())
    }

    fn read(&mut self, deadline: Deadline, what: &str) -> Result<(Instant, Message), QmpError> {
        let line = self.lines.next(deadline).map_err(|source| QmpError::Silent { what: what.into(), source })?;
        Ok((line.at, Message::parse(&line.text)?))
    }
}

impl QmpError {
    /// Whether the VMM is gone.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Silent { source: NoLine::Gone, .. })
    }
}
