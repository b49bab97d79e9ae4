// SPDX-License-Identifier: MIT OR Apache-2.0

//! QMP connection to the VMM: commands, their answers, and events.

use crate::{
    deadline::Deadline,
    stream::{
        lines::{LineError, Lines},
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

/// Connection to a QMP monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    lines: Lines,
    log_file: LogFile,
    session: Session,
    events: Vec<Event>,
}

/// Event with the time at which it was read.
#[derive(Clone, Debug)]
pub struct Event {
    /// Time at which it was read.
    pub at: Instant,
    /// Event.
    pub body: message::Event,
}

/// Position in the stream of events.
#[derive(Clone, Copy, Debug)]
pub struct Moment(usize);

/// Reason why a command has no answer, or an error as its answer.
#[derive(Debug, Error)]
pub enum QmpError {
    /// The VMM answered with an error.
    #[error("the VMM did not do {command}")]
    Refused {
        /// Command.
        command: String,
        /// Error of the VMM.
        source: CommandError,
    },
    /// The VMM sent nothing.
    #[error("waiting for {what}")]
    Silent {
        /// Message that was waited for.
        what: String,
        /// Error of the stream.
        source: LineError,
    },
    /// The VMM sent a line that is no QMP message.
    #[error(transparent)]
    NoMessage(#[from] ParseError),
}

impl Qmp {
    /// Waits for the greeting and enters command mode.
    pub fn connect(stream: UnixStream, log_file: LogFile) -> anyhow::Result<Self> {
        let observed = log_file.clone();
        let lines = Lines::of(&stream, move |line| observed.add(&format!("<- {line}")))?;
        let mut qmp = Self { stream, lines, log_file, session: Session::default(), events: Vec::new() };
        while !matches!(qmp.read(Deadline::start(), "the greeting")?, (_, Message::Greeting)) {}
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Executes a command and returns its answer.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let line = self.session.command(command, &arguments);
        self.log_file.add(&format!("-> {}", line.trim_end()));
        let gone = |_| QmpError::Silent { what: command.into(), source: LineError::Closed };
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

    /// Waits for an answer of the VMM. Everything that the VMM sent before has been read then.
    pub fn round_trip(&mut self) -> Result<(), QmpError> {
        self.execute("query-status", json!({})).map(drop)
    }

    /// Returns the position before the first event.
    pub fn begin(&self) -> Moment {
        Moment(0)
    }

    /// Returns the position after the last event that was read.
    pub fn moment(&self) -> Moment {
        Moment(self.events.len())
    }

    /// Returns the events since a position, as far as they were read.
    pub fn since(&self, Moment(first): Moment) -> &[Event] {
        self.events.get(first..).unwrap_or_default()
    }

    /// Waits until an event since a position satisfies `like`. `what` names it in the error.
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

    /// Returns the position after the first event since a position that satisfies `like`, or the last position.
    pub fn after_first(&self, Moment(first): Moment, like: impl Fn(&message::Event) -> bool) -> Moment {
        let index = self.since(Moment(first)).iter().position(|event| like(&event.body));
        index.map_or(self.moment(), |index| Moment(first + index + 1))
    }

    /// Reads one message and stores it as an answer or an event.
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
    /// Returns whether the VMM has ended.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Silent { source: LineError::Closed, .. })
    }
}
