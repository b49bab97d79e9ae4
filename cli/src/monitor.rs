// SPDX-License-Identifier: MIT OR Apache-2.0

//! The talk with a VM's monitor.

use crate::{
    endpoint::Endpoint,
    input::{self, Input},
    notes::Notes,
};
use anyhow::{Context as _, Result};
use papr_unplug_qmp::{
    line::NoLine,
    message::{Event, Message, NoMessage},
    session::{Answer, Session},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};
use thiserror::Error;

/// When a user who sees nothing happen is told what that may mean. Nothing is given up then.
const PUZZLED: Duration = Duration::from_secs(1);

/// A connection that has been greeted.
pub struct Monitor {
    writer: Box<dyn Write + Send>,
    inputs: Receiver<Input>,
    session: Session,
    events: VecDeque<Event>,
}

/// Why the talk is over.
#[derive(Debug, Error)]
pub enum Stop {
    /// The user wants it so.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// The VM has ended, or it has ended the talk.
    #[error("the connection to the VM is lost")]
    Lost(#[from] Lost),
}

/// What became of the connection.
#[derive(Debug, Error)]
pub enum Lost {
    /// No more lines.
    #[error(transparent)]
    Line(#[from] NoLine),
    /// It says what a monitor does not say.
    #[error(transparent)]
    Message(#[from] NoMessage),
    /// Nothing can be sent.
    #[error("cannot write to the connection")]
    Unwritable(#[source] io::Error),
}

impl Monitor {
    /// Connects and waits to be greeted.
    pub fn greet(endpoint: &Endpoint, notes: &Notes) -> Result<Self> {
        let inputs = input::begin(endpoint)?;
        let waiting = Waiting { inputs: &inputs, endpoint, notes, puzzled: Some(Instant::now() + PUZZLED) };
        let writer = waiting.for_greeting()?;
        let mut monitor = Self { writer, inputs, session: Session::default(), events: VecDeque::new() };
        monitor.execute("qmp_capabilities", json!({}))?.context("the VM's monitor does not take up the talk")?;
        Ok(monitor)
    }

    /// Has a command done. Events that come meanwhile are kept for [`Monitor::event`].
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Answer, Stop> {
        let line = self.session.command(command, &arguments);
        self.writer.write_all(line.as_bytes()).and_then(|()| self.writer.flush()).map_err(Lost::Unwritable)?;
        loop {
            if let Some(answer) = self.session.answer() {
                return Ok(answer);
            }
            self.take(self.inputs.recv().ok())?;
        }
    }

    /// Waits for the next event.
    pub fn event(&mut self) -> Result<Event, Stop> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.take(self.inputs.recv().ok())?;
        }
    }

    /// The next event if it comes before so much time has passed; for displays that are to be kept fresh.
    pub fn event_within(&mut self, time: Duration) -> Result<Option<Event>, Stop> {
        if self.events.is_empty() {
            match self.inputs.recv_timeout(time) {
                Ok(input) => self.take(Some(input))?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.take(None)?,
            }
        }
        Ok(self.events.pop_front())
    }

    /// Forgets the events that have come so far: they are about what was before.
    pub fn forget(&mut self) {
        self.events.clear();
    }

    /// Whether the machine was reset, as far as the VM knows now. QEMU tells of a device that goes in a reset before it
    /// tells of the reset, and has told of both before it answers anything else.
    pub fn was_reset(&mut self) -> Result<bool, Stop> {
        self.execute("query-status", json!({}))?.ok();
        Ok(self.events.iter().any(|event| event.name() == "RESET"))
    }

    fn take(&mut self, input: Option<Input>) -> Result<(), Stop> {
        match input.unwrap_or(Input::Line(Err(NoLine::Closed))) {
            Input::Signal(signal) => Err(Stop::Interrupted(signal)),
            Input::Line(line) => {
                let message = Message::parse(&line.map_err(Lost::Line)?).map_err(Lost::Message)?;
                self.events.extend(self.session.file(message));
                Ok(())
            }
            Input::Connected(_) => Ok(()),
        }
    }
}

/// Before the greeting.
struct Waiting<'a> {
    inputs: &'a Receiver<Input>,
    endpoint: &'a Endpoint,
    notes: &'a Notes,
    puzzled: Option<Instant>,
}

impl Waiting<'_> {
    fn for_greeting(mut self) -> Result<Box<dyn Write + Send>> {
        let writer = loop {
            match self.next() {
                Input::Connected(writer) => break writer?,
                Input::Signal(signal) => return Err(Stop::Interrupted(signal).into()),
                Input::Line(_) => {}
            }
        };
        loop {
            let line = match self.next() {
                Input::Line(line) => line.map_err(Lost::from),
                Input::Signal(signal) => return Err(Stop::Interrupted(signal).into()),
                Input::Connected(_) => continue,
            };
            match line.and_then(|line| Ok(Message::parse(&line)?)) {
                Ok(Message::Greeting) => return Ok(writer),
                // Another program's answers, from before it left.
                Ok(_) => {}
                Err(lost) => return Err(self.no_greeting(lost)),
            }
        }
    }

    fn next(&mut self) -> Input {
        if let Some(puzzled) = self.puzzled {
            match self.inputs.recv_timeout(puzzled.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(input) => return input,
                Err(RecvTimeoutError::Disconnected) => return Input::Line(Err(NoLine::Closed)),
            }
            self.puzzled = None;
            self.notes.say(
                "still waiting for the VM's greeting. Its monitor talks to one program at a time: another one, such as \
                 libvirt, may hold it. A VM can have a second one: -qmp unix:PATH,server=on,wait=off",
            );
        }
        self.inputs.recv().unwrap_or(Input::Line(Err(NoLine::Closed)))
    }

    fn no_greeting(&self, lost: Lost) -> anyhow::Error {
        let human = matches!(&lost, Lost::Message(error) if error.line().contains("QEMU") );
        let fix = if human {
            "this is QEMU's monitor for people; name a socket that was opened with -qmp instead"
        } else {
            "name a socket that QEMU opened with -qmp"
        };
        anyhow::Error::new(lost).context(format!("{} does not greet like a QMP monitor: {fix}", self.endpoint))
    }
}
