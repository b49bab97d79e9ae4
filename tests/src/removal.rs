// SPDX-License-Identifier: MIT OR Apache-2.0

//! One removal: asked for, watched, and called by what the host was told.
//!
//! That the host was told nothing is never concluded from time that passed. The guest's trace shows that its attempt has
//! ended; then the guest answers once more, and then the VMM does. Whatever the guest had to say on the way is before
//! that answer in the monitor's stream, so what is not there was not said.

use crate::{
    device::Device,
    observe::trace::{self, Attempt, SetIndicator},
    vm::Vm,
    vmm::qmp::{Event, Moment, QmpError},
};
use anyhow::{Context as _, Result, bail};
use papr_unplug_qmp::message::{self, CommandError};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde::{Serialize, Serializer};
use serde_json::json;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// The host is told that the guest refuses.
const REFUSED: &str = "DEVICE_UNPLUG_GUEST_ERROR";
/// The host is told that the device is gone.
const DELETED: &str = "DEVICE_DELETED";

/// What a removal came to, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest was said to refuse.
    Refused,
    /// The device is gone.
    Released,
    /// The guest has ended its attempt, and nothing was said.
    Silent,
    /// The VMM ended by itself.
    VmmAborted,
    /// The guest's kernel crashed before the end of the scenario. (A removal in which it does is an error.)
    GuestCrashed,
}

/// A removal that has come to its end.
#[derive(Clone, Debug)]
pub struct Removal {
    /// What it came to: the first thing the host was told.
    pub outcome: Outcome,
    /// Everything the host was told about it.
    pub events: Vec<Event>,
    /// From asking to the first of these.
    pub latency: Option<Duration>,
    /// How the guest's attempt ended; `None` if the VMM did so before.
    pub attempt: Option<Attempt>,
    /// The `set-indicator` calls of the guest meanwhile.
    pub calls: Vec<SetIndicator>,
}

/// What the host was told first about a removal.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What.
    pub outcome: Outcome,
    /// How long after asking.
    pub latency: Duration,
}

/// A removal that the host has asked for.
#[derive(Debug)]
#[must_use = "its outcome is to be watched"]
pub struct Asked {
    id: String,
    sent: Instant,
    before: Moment,
}

/// What a second request came to, after a refusal whose cause was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The VMM took it, and the device was released.
    Accepted,
    /// The VMM did not take it.
    Rejected,
}

impl Removal {
    /// The connectors that the guest unisolated meanwhile: each is one signal.
    pub fn unisolated(&self) -> Vec<DrcIndex> {
        trace::unisolated(&self.calls)
    }

    fn aborted() -> Self {
        Self { outcome: Outcome::VmmAborted, events: Vec::new(), latency: None, attempt: None, calls: Vec::new() }
    }
}

impl Vm {
    /// Asks for a device and watches what comes of it.
    pub fn remove(&mut self, device: &(impl Device + ?Sized)) -> Result<Removal> {
        let asked = self.ask(device)?.with_context(|| format!("the VMM does not ask for {}", device.id()))?;
        self.watch(asked)
    }

    /// Asks once more for a device that was refused. Where the VMM takes the request, it must end in a release.
    pub fn retry(&mut self, device: &(impl Device + ?Sized)) -> Result<Retry> {
        let Ok(asked) = self.ask(device)? else { return Ok(Retry::Rejected) };
        match self.watch(asked)?.outcome {
            Outcome::Released => Ok(Retry::Accepted),
            other => bail!("{} was asked for again with nothing in the way, and the outcome is {other}", device.id()),
        }
    }

    /// Asks for a device and does not wait. The inner error is the VMM's: it may not take the request.
    pub fn ask(&mut self, device: &(impl Device + ?Sized)) -> Result<Result<Asked, CommandError>> {
        if self.asked == 0 {
            // Leave behind whatever the guest did before.
            self.trace.so_far(&mut self.guest)?;
        }
        let asked = self.send(device)?;
        self.asked += u32::from(asked.is_ok());
        Ok(asked)
    }

    /// Waits for the end of what was asked, first things first.
    pub fn watch(&mut self, asked: Asked) -> Result<Removal> {
        self.asked -= 1;
        match self.follow(&asked) {
            Err(error) if Self::is_end_of_vmm(&error) && !self.crashed()? => Ok(Removal::aborted()),
            followed => followed.with_context(|| format!("{} was asked for", asked.id)),
        }
    }

    /// Waits until the guest has ended its attempt at what was asked, by whichever VMM. The host may have been told before.
    pub fn await_attempt(&mut self, _: Asked) -> Result<Attempt> {
        self.asked -= 1;
        Ok(self.trace.attempt(&mut self.guest)?.1)
    }

    /// Asks for a device and waits until the host is told something. Quicker than [`Vm::remove`], and of no use where the
    /// host may be told nothing.
    pub fn remove_unwatched(&mut self, device: &(impl Device + ?Sized)) -> Result<Told> {
        self.qmp.round_trip()?;
        let asked = self.send(device)?.with_context(|| format!("the VMM does not ask for {}", device.id()))?;
        self.qmp.wait_for(asked.before, "what comes of a removal", |event| asked.is_told_by(event))?;
        let first = self.qmp.since(asked.before).iter().find(|event| asked.is_told_by(&event.body));
        let latency = first.map(|event| asked.latency(event)).unwrap_or_default();
        Ok(Told { outcome: outcome(first), latency })
    }

    /// Asks for a device of which the guest may make no attempt, or nothing that its trace should be read for.
    pub fn ask_unwatched(&mut self, device: &(impl Device + ?Sized)) -> Result<Asked> {
        self.send(device)?.with_context(|| format!("the VMM does not ask for {}", device.id()))
    }

    fn send(&mut self, device: &(impl Device + ?Sized)) -> Result<Result<Asked, CommandError>> {
        let id = device.id().to_owned();
        let before = self.qmp.moment();
        let sent = Instant::now();
        match self.qmp.execute("device_del", json!({ "id": id })) {
            Ok(_) => Ok(Ok(Asked { id, sent, before })),
            Err(QmpError::Refused { source, .. }) => Ok(Err(source)),
            Err(other) => Err(other.into()),
        }
    }

    /// What the host was told so far of what was asked.
    pub fn told(&mut self, asked: &Asked) -> Result<Vec<Event>> {
        self.qmp.round_trip()?;
        Ok(self.qmp.since(asked.before).iter().filter(|event| asked.is_told_by(&event.body)).cloned().collect())
    }

    fn follow(&mut self, asked: &Asked) -> Result<Removal> {
        let (mut calls, attempt) = self.trace.attempt(&mut self.guest)?;
        calls.extend(self.trace.calls_so_far(&mut self.guest)?);
        let mut events = self.told(asked)?;
        if attempt.errno == 0 && events.is_empty() {
            // The guest has given it back, and the VMM takes it apart in its own time.
            self.qmp.wait_for(asked.before, DELETED, |event| asked.is_told_by(event))?;
            events = self.told(asked)?;
        }
        let first = events.first();
        let latency = first.map(|event| asked.latency(event));
        Ok(Removal { outcome: outcome(first), latency, attempt: Some(attempt), calls, events })
    }
}

/// What the first event about a removal says it came to.
fn outcome(first: Option<&Event>) -> Outcome {
    match first.map(|event| event.body.name()) {
        None => Outcome::Silent,
        Some(DELETED) => Outcome::Released,
        Some(_) => Outcome::Refused,
    }
}

impl Asked {
    /// The moment before it was asked.
    pub(crate) fn before(&self) -> Moment {
        self.before
    }

    fn latency(&self, event: &Event) -> Duration {
        event.at.saturating_duration_since(self.sent)
    }

    /// Whether this tells the host what came of it. (QEMU up to 10.x also sends the deprecated `MEM_UNPLUG_ERROR` with each
    /// [`REFUSED`] of a DIMM; it says nothing more.)
    pub(crate) fn is_told_by(&self, event: &message::Event) -> bool {
        [REFUSED, DELETED].contains(&event.name()) && event.device() == Some(&self.id)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "refused",
            Self::Released => "released",
            Self::Silent => "silent",
            Self::VmmAborted => "vmm-aborted",
            Self::GuestCrashed => "guest-crashed",
        })
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Retry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
