// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connection to a VM's QMP monitor.

use crate::{
    bridge::FAILED,
    end::Interruption,
    endpoint::Endpoint,
    input::{self, AHEAD, Input},
    notes::Notes,
};
use anyhow::{Context as _, Result};
use papr_unplug_qmp::{
    line::ReadError,
    message::{Event, Message, ParseError},
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

/// Time after which a missing greeting is explained. The program keeps waiting.
const HINT_AFTER: Duration = Duration::from_secs(1);

/// Connection after the greeting and `qmp_capabilities`.
pub struct Monitor {
    writer: Box<dyn Write + Send>,
    inputs: Receiver<Input>,
    session: Session,
    events: VecDeque<Event>,
    taken: u64,
    /// True if the last input was taken. The queue stays open for signals.
    is_over: bool,
    /// Why the bridge to libvirt has ended, if it said so.
    failed: Option<String>,
    /// Time at which the user does not wait any longer.
    deadline: Option<Instant>,
    /// Why the user does not wait any longer.
    interrupted: Option<Interruption>,
}

/// End of a connection.
#[derive(Debug, Error)]
pub enum Stop {
    /// The user does not wait any longer.
    #[error("{0}")]
    Interrupted(Interruption),
    /// The VM ended, or closed the connection.
    #[error("the connection to the VM is lost")]
    Lost(#[from] Lost),
}

/// Loss of a connection.
#[derive(Debug, Error)]
pub enum Lost {
    /// The stream ended or cannot be read.
    #[error(transparent)]
    Line(#[from] ReadError),
    /// The server sent something other than QMP.
    #[error(transparent)]
    Message(#[from] ParseError),
    /// libvirt cannot be followed any more.
    #[error("{0}")]
    Libvirt(String),
    /// The stream cannot be written to.
    #[error("cannot write to the connection")]
    Unwritable(#[source] io::Error),
}

impl Monitor {
    /// Connects, waits for the greeting, and negotiates capabilities. No wait lasts beyond the deadline, also later.
    pub fn greet(endpoint: &Endpoint, notes: &Notes, deadline: Option<Instant>) -> Result<Self> {
        let inputs = input::begin(endpoint)?;
        let hint_at = Some(Instant::now() + HINT_AFTER);
        let writer = Waiting { inputs: &inputs, endpoint, notes, hint_at, deadline }.for_greeting()?;
        let (session, events) = (Session::default(), VecDeque::new());
        let (is_over, failed, interrupted) = (false, None, None);
        let mut monitor = Self { writer, inputs, session, events, taken: 0, is_over, failed, deadline, interrupted };
        monitor.execute("qmp_capabilities", json!({}))?.context("the VM's monitor rejects qmp_capabilities")?;
        Ok(monitor)
    }

    /// Executes a command. Events that arrive meanwhile are kept for [`Monitor::event`].
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Answer, Stop> {
        self.go_on()?;
        let line = self.session.command(command, &arguments);
        self.writer.write_all(line.as_bytes()).and_then(|()| self.writer.flush()).map_err(Lost::Unwritable)?;
        loop {
            if let Some(answer) = self.session.answer() {
                return Ok(answer);
            }
            self.receive()?;
        }
    }

    /// Waits for the next event.
    pub fn event(&mut self) -> Result<Event, Stop> {
        loop {
            if let Some(event) = self.pop() {
                return Ok(event);
            }
            self.receive()?;
        }
    }

    /// Waits for the next event, at most `time`. For refreshing a display; nothing is concluded from `None`.
    pub fn event_within(&mut self, time: Duration) -> Result<Option<Event>, Stop> {
        if self.events.is_empty() {
            self.go_on()?;
            let until = Instant::now().checked_add(time);
            match received(&self.inputs, self.is_over, until.into_iter().chain(self.deadline).min()) {
                Received::Late if self.deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
                input => self.take(input)?,
            }
        }
        Ok(self.pop())
    }

    /// Returns the next of the events that were received, without a wait.
    pub fn event_received(&mut self) -> Option<Event> {
        self.pop()
    }

    /// Drops the events received so far.
    pub fn forget(&mut self) {
        self.taken += self.events.len() as u64;
        self.events.clear();
    }

    /// Returns how many events were received so far.
    pub fn received(&self) -> u64 {
        self.taken + self.events.len() as u64
    }

    /// Returns how many events were taken by [`Monitor::event`] or dropped so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Receives what the VM sent up to now: QEMU sends an event before it answers a later command.
    pub fn catch_up(&mut self) -> Result<(), Stop> {
        self.execute("query-status", json!({}))?.ok();
        Ok(())
    }

    /// Returns the names of the events that were received and not taken yet.
    pub fn upcoming(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(Event::name)
    }

    /// Takes the next input. After the last one, says again that the connection has ended.
    fn receive(&mut self) -> Result<(), Stop> {
        self.go_on()?;
        self.take(received(&self.inputs, self.is_over, self.deadline))
    }

    /// Says again that the user does not wait any longer, and why the bridge to libvirt has ended.
    fn go_on(&self) -> Result<(), Stop> {
        match (self.interrupted, &self.failed) {
            (Some(why), _) => Err(Stop::Interrupted(why)),
            (None, Some(why)) => Err(Lost::Libvirt(why.clone()).into()),
            (None, None) => Ok(()),
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.taken += 1;
        Some(event)
    }

    fn take(&mut self, received: Received) -> Result<(), Stop> {
        match received {
            Received::Input(input) => self.process(input),
            Received::Late => {
                // What has come is taken, up to as much as is read ahead.
                for _ in 0..AHEAD {
                    let Ok(input) = self.inputs.try_recv() else { break };
                    self.process(input)?;
                }
                self.interrupt(Interruption::Timeout)
            }
        }
    }

    fn process(&mut self, input: Input) -> Result<(), Stop> {
        match input {
            Input::Signal(signal) => self.interrupt(Interruption::Signal(signal)),
            Input::Line(line) => {
                self.is_over |= line.is_err();
                let message = Message::parse(&line.map_err(Lost::Line)?).map_err(Lost::Message)?;
                let event = self.session.receive(message);
                if let Some(event) = event.as_ref().filter(|event| event.name() == FAILED) {
                    self.is_over = true;
                    self.failed = Some(why_failed(event));
                    return self.go_on();
                }
                self.events.extend(event);
                Ok(())
            }
            Input::Connected(_) => Ok(()),
        }
    }

    fn interrupt(&mut self, why: Interruption) -> Result<(), Stop> {
        self.interrupted = Some(why);
        Err(Stop::Interrupted(why))
    }
}

/// Returns why the bridge to libvirt has ended.
fn why_failed(event: &Event) -> String {
    event.data("desc").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Result of a wait for an input.
enum Received {
    /// An input, or that there is none any more.
    Input(Input),
    /// None until the given time.
    Late,
}

/// Waits for an input. After the last one, `is_over`, the connection has ended.
fn received(inputs: &Receiver<Input>, is_over: bool, until: Option<Instant>) -> Received {
    let input = match until {
        _ if is_over => None,
        None => inputs.recv().ok(),
        Some(until) => match inputs.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => return Received::Late,
            input => input.ok(),
        },
    };
    Received::Input(input.unwrap_or(Input::Line(Err(ReadError::Closed))))
}

/// Wait for the greeting.
struct Waiting<'a> {
    inputs: &'a Receiver<Input>,
    endpoint: &'a Endpoint,
    notes: &'a Notes,
    hint_at: Option<Instant>,
    deadline: Option<Instant>,
}

impl Waiting<'_> {
    fn for_greeting(mut self) -> Result<Box<dyn Write + Send>> {
        let writer = loop {
            match self.next()? {
                Input::Connected(writer) => break writer?,
                Input::Signal(signal) => return Err(Stop::Interrupted(Interruption::Signal(signal)).into()),
                Input::Line(_) => {}
            }
        };
        loop {
            let line = match self.next()? {
                Input::Line(line) => line.map_err(Lost::from),
                Input::Signal(signal) => return Err(Stop::Interrupted(Interruption::Signal(signal)).into()),
                Input::Connected(_) => continue,
            };
            match line.and_then(|line| Ok(Message::parse(&line)?)) {
                Ok(Message::Greeting) => return Ok(writer),
                Ok(Message::Event(event)) if event.name() == FAILED => {
                    return Err(Stop::from(Lost::Libvirt(why_failed(&event))).into());
                }
                // Answers to another program that used this socket before.
                Ok(_) => {}
                Err(lost) => return Err(self.no_greeting(lost)),
            }
        }
    }

    fn next(&mut self) -> Result<Input, Stop> {
        if let Some(hint_at) = self.hint_at.filter(|hint_at| self.deadline.is_none_or(|deadline| *hint_at < deadline)) {
            match received(self.inputs, false, Some(hint_at)) {
                Received::Input(input) => return Ok(input),
                Received::Late => {}
            }
            self.hint_at = None;
            self.notes.say(self.endpoint.obstacle());
        }
        match received(self.inputs, false, self.deadline) {
            Received::Input(input) => Ok(input),
            Received::Late => Err(Stop::Interrupted(Interruption::Timeout)),
        }
    }

    fn no_greeting(&self, lost: Lost) -> anyhow::Error {
        let human = matches!(&lost, Lost::Message(error) if error.line().contains("QEMU"));
        let fix = match self.endpoint {
            Endpoint::Domain(_) => "it has ended",
            _ if human => "this is QEMU's human monitor (HMP); name a socket that was opened with -qmp instead",
            _ => "name a socket that QEMU opened with -qmp",
        };
        anyhow::Error::new(lost).context(format!("{} does not greet like a QMP monitor: {fix}", self.endpoint))
    }
}
