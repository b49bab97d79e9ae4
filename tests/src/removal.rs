// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal of a device: the request, the guest's attempt, and the outcome for the host.
//!
//! Silence is never concluded from time that has passed. The guest's trace shows that its attempt has ended; then the
//! guest answers a command, and then the VMM does. An event about the request would have come before these answers.

use crate::{
    device::Device,
    observe::trace::{self, Attempt, SetIndicator},
    pairing::{Pairing, Side},
    vm::Vm,
    vmm::qmp::{Event, Moment, QmpError},
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_qmp::message::{self, CommandError};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// Event of a refusal.
const REFUSED: &str = "DEVICE_UNPLUG_GUEST_ERROR";
/// Event of a release.
const DELETED: &str = "DEVICE_DELETED";

/// Outcome of a removal for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The VMM reported a refusal.
    Refused,
    /// The device was released.
    Released,
    /// The guest's attempt has ended, and the VMM reported nothing.
    Silent,
    /// The VMM aborted.
    VmmAborted,
    /// The guest's kernel crashed. (Scenarios have this outcome; [`Vm::remove`] returns an error.)
    GuestCrashed,
}

/// Removal that has ended.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Outcome, from the first event.
    pub outcome: Outcome,
    /// All events about the request.
    pub events: Vec<Event>,
    /// Time from the request to the first event.
    pub latency: Option<Duration>,
    /// The guest's attempt; `None` if the VMM ended first.
    pub attempt: Option<Attempt>,
    /// `set-indicator` calls of the guest during the removal.
    pub calls: Vec<SetIndicator>,
}

/// Outcome of a removal that was not traced.
#[derive(Clone, Copy, Debug)]
pub struct TimedOutcome {
    /// Outcome, from the first event.
    pub outcome: Outcome,
    /// Time from the request to the first event.
    pub latency: Duration,
}

/// Removal request that the VMM has accepted.
#[derive(Debug)]
#[must_use = "its outcome has to be awaited"]
pub struct Request {
    id: String,
    sent: Instant,
    before: Moment,
}

/// Result of a second request, after the cause of the refusal is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The VMM accepted the request, and the device was released.
    Accepted,
    /// The VMM rejected the request.
    Rejected,
}

impl Removal {
    /// Returns these members of the event of a refusal, which must be the only event. A member that the event lacks is
    /// null.
    pub fn refusal<const N: usize>(&self, members: [&str; N]) -> Result<[Value; N]> {
        ensure!(self.outcome == Outcome::Refused, "the outcome is {}: {:?}", self.outcome, self.events);
        let [event] = self.events.as_slice() else { bail!("{} events: {:?}", self.events.len(), self.events) };
        Ok(members.map(|name| event.body.data(name).cloned().unwrap_or_default()))
    }

    /// Returns the connectors that the guest unisolated during the removal; each is one hint.
    pub fn unisolated(&self) -> Vec<DrcIndex> {
        trace::unisolated(&self.calls)
    }

    fn as_retry(&self, device: &(impl Device + ?Sized)) -> Result<Retry> {
        match self.outcome {
            Outcome::Released => Ok(Retry::Accepted),
            other => bail!("{} was asked for again with nothing in the way, and the outcome is {other}", device.id()),
        }
    }

    fn aborted() -> Self {
        Self { outcome: Outcome::VmmAborted, events: Vec::new(), latency: None, attempt: None, calls: Vec::new() }
    }
}

impl Vm {
    /// Requests a device and waits for the outcome.
    pub fn remove(&mut self, device: &(impl Device + ?Sized)) -> Result<Removal> {
        let request =
            self.request(device)?.with_context(|| format!("the VMM rejects the request for {}", device.id()))?;
        self.watch(request)
    }

    /// Requests a device again after a refusal. If the VMM accepts the request, it must end in a release.
    pub fn retry(&mut self, device: &(impl Device + ?Sized)) -> Result<Retry> {
        let Ok(request) = self.request(device)? else { return Ok(Retry::Rejected) };
        self.watch(request)?.as_retry(device)
    }

    /// Requests a device and does not wait. The inner error is the VMM's, which may reject the request.
    pub fn request(&mut self, device: &(impl Device + ?Sized)) -> Result<Result<Request, CommandError>> {
        if self.traced_requests == 0 {
            // Events of earlier removals are skipped.
            self.trace.so_far(&mut self.guest)?;
        }
        let request = self.try_request(device)?;
        self.traced_requests += u32::from(request.is_ok());
        Ok(request)
    }

    /// Waits for the outcome of a request. Requests must be watched in the order in which they were made.
    pub fn watch(&mut self, request: Request) -> Result<Removal> {
        self.traced_requests -= 1;
        match self.follow(&request) {
            Err(error) if Self::is_end_of_vmm(&error) && !self.crashed()? => Ok(Removal::aborted()),
            followed => followed.with_context(|| format!("{} was requested", request.id)),
        }
    }

    /// Waits until the guest has ended its attempt at a request, whichever VMM made it. The host may have been told
    /// before.
    pub fn await_attempt(&mut self, _: Request) -> Result<Attempt> {
        self.traced_requests -= 1;
        Ok(self.trace.attempt(&mut self.guest)?.1)
    }

    /// Requests a device and waits for the first event. Faster than [`Vm::remove`], and only for requests that the host
    /// is told about.
    pub fn remove_untraced(&mut self, device: &(impl Device + ?Sized)) -> Result<TimedOutcome> {
        self.qmp.round_trip()?;
        let request =
            self.try_request(device)?.with_context(|| format!("the VMM rejects the request for {}", device.id()))?;
        self.qmp.wait_for(request.before, "the outcome of a removal", |event| request.is_answered_by(event))?;
        let first = self.qmp.since(request.before).iter().find(|event| request.is_answered_by(&event.body));
        let latency = first.map(|event| request.latency(event)).unwrap_or_default();
        Ok(TimedOutcome { outcome: outcome(first), latency })
    }

    /// Requests a device without reading the guest's trace.
    pub fn request_untraced(&mut self, device: &(impl Device + ?Sized)) -> Result<Request> {
        self.try_request(device)?.with_context(|| format!("the VMM rejects the request for {}", device.id()))
    }

    /// Returns a request for a device that was made elsewhere: by the VMM from which the guest has migrated.
    pub fn request_of_another_vmm(&self, device: &(impl Device + ?Sized)) -> Request {
        self.request_since(device, self.qmp.begin())
    }

    /// Returns a request for a device that was open at this moment, because a snapshot had it.
    pub fn request_since(&self, device: &(impl Device + ?Sized), before: Moment) -> Request {
        Request { id: device.id().to_owned(), sent: Instant::now(), before }
    }

    /// Waits for the first event about a request that the guest's trace does not show, and returns the events up to
    /// then. Requests for PCI devices are such: the kernel gives them to user space.
    pub fn watch_untraced(&mut self, request: &Request) -> Result<Removal> {
        let what = format!("the outcome of the request for {}", request.id);
        self.qmp.wait_for(request.before, &what, |event| request.is_answered_by(event))?;
        let events = self.events_about(request)?;
        let first = events.first();
        let latency = first.map(|event| request.latency(event));
        Ok(Removal { outcome: outcome(first), latency, attempt: None, calls: Vec::new(), events })
    }

    /// Waits until the device of a request is deleted, whatever the outcome of the request was.
    pub fn await_deletion(&mut self, request: &Request) -> Result<()> {
        let is_deletion = |event: &message::Event| event.name() == DELETED && event.device() == Some(&request.id);
        self.qmp.wait_for(request.before, "the deletion of a device", is_deletion).map_err(Into::into)
    }

    /// Requests a PCI device and waits for the outcome.
    pub fn remove_pci(&mut self, device: &(impl Device + ?Sized)) -> Result<Removal> {
        let request = self.request_untraced(device)?;
        self.watch_untraced(&request)
    }

    /// Requests a PCI device that the guest keeps, because no program there reads the events about such requests, or
    /// because one refuses. Returns what the host is told. The guest's attempt ends with the interrupt, or with the guest
    /// module's answer.
    pub fn remove_kept(&mut self, device: &(impl Device + ?Sized)) -> Result<Removal> {
        if self.pairing == Pairing::OURS {
            return self.remove_pci(device);
        }
        let is_answered = "cat /sys/kernel/debug/papr_unplug/counters 2>/dev/null | grep '^refused '";
        let is_taken = "grep RAS_HOTPLUG /proc/interrupts";
        let sign = if self.pairing.guest == Side::Ours { is_answered } else { is_taken };
        let before = self.guest.sh(sign)?;
        let request = self.request_untraced(device)?;
        self.guest.sh(&format!("until [ \"$({sign})\" != \"{}\" ]; do :; done", before.trim_end()))?;
        let events = self.events_about(&request)?;
        let first = events.first();
        let latency = first.map(|event| request.latency(event));
        Ok(Removal { outcome: outcome(first), latency, attempt: None, calls: Vec::new(), events })
    }

    /// Requests a device again after [`Vm::remove_kept`]. Its outcome is not awaited.
    pub fn retry_kept(&mut self, device: &(impl Device + ?Sized)) -> Result<Retry> {
        Ok(if self.try_request(device)?.is_ok() { Retry::Accepted } else { Retry::Rejected })
    }

    /// Requests a PCI device again after a refusal. If the VMM accepts the request, it must end in a release.
    pub fn retry_pci(&mut self, device: &(impl Device + ?Sized)) -> Result<Retry> {
        let Ok(request) = self.try_request(device)? else { return Ok(Retry::Rejected) };
        self.watch_untraced(&request)?.as_retry(device)
    }

    /// Requests a device `times` times as fast as the VMM accepts it, and waits for all outcomes. Returns the number of
    /// refusals by their source and reason.
    pub fn request_repeatedly(
        &mut self,
        device: &(impl Device + ?Sized),
        times: u32,
    ) -> Result<Vec<(Value, Value, u32)>> {
        let first = self.qmp.moment();
        let is_refusal = |event: &message::Event| event.name() == REFUSED && event.device() == Some(device.id());
        let mut accepted = 0;
        while accepted < times {
            let before = self.qmp.moment();
            match self.try_request(device)? {
                Ok(_) => accepted += 1,
                Err(_) => self.qmp.wait_for(before, "room for another request", is_refusal)?,
            }
        }
        let mut last = first;
        for _ in 0..times {
            self.qmp.wait_for(last, "the outcome of a request", is_refusal)?;
            last = self.qmp.after_first(last, is_refusal);
        }
        self.qmp.round_trip()?;
        let mut counts: Vec<(Value, Value, u32)> = Vec::new();
        for event in self.qmp.since(first).iter().filter(|event| is_refusal(&event.body)) {
            let [source, reason] = ["source", "reason"].map(|name| event.body.data(name).cloned().unwrap_or_default());
            match counts.iter_mut().find(|(of, why, _)| (of, why) == (&source, &reason)) {
                Some((_, _, count)) => *count += 1,
                None => counts.push((source, reason, 1)),
            }
        }
        Ok(counts)
    }

    /// Requests a device without reading the guest's trace. The inner error is the VMM's, which may reject the request.
    pub fn try_request(&mut self, device: &(impl Device + ?Sized)) -> Result<Result<Request, CommandError>> {
        let id = device.id().to_owned();
        let before = self.qmp.moment();
        let sent = Instant::now();
        match self.qmp.execute("device_del", json!({ "id": id })) {
            Ok(_) => Ok(Ok(Request { id, sent, before })),
            Err(QmpError::Refused { source, .. }) => Ok(Err(source)),
            Err(other) => Err(other.into()),
        }
    }

    /// Returns all events about a request up to now.
    pub fn events_about(&mut self, request: &Request) -> Result<Vec<Event>> {
        self.qmp.round_trip()?;
        Ok(self.qmp.since(request.before).iter().filter(|event| request.is_answered_by(&event.body)).cloned().collect())
    }

    fn follow(&mut self, request: &Request) -> Result<Removal> {
        let (mut calls, attempt) = self.trace.attempt(&mut self.guest)?;
        calls.extend(self.trace.calls_so_far(&mut self.guest)?);
        let mut events = self.events_about(request)?;
        if attempt.errno == 0 && events.is_empty() {
            // The guest has given the device back, and the VMM deletes it later.
            self.qmp.wait_for(request.before, DELETED, |event| request.is_answered_by(event))?;
            events = self.events_about(request)?;
        }
        let first = events.first();
        let latency = first.map(|event| request.latency(event));
        Ok(Removal { outcome: outcome(first), latency, attempt: Some(attempt), calls, events })
    }
}

/// Returns the outcome that the first event about a request stands for.
fn outcome(first: Option<&Event>) -> Outcome {
    match first.map(|event| event.body.name()) {
        None => Outcome::Silent,
        Some(DELETED) => Outcome::Released,
        Some(_) => Outcome::Refused,
    }
}

impl Request {
    /// Returns the position in the stream of events before the request.
    pub(crate) fn before(&self) -> Moment {
        self.before
    }

    fn latency(&self, event: &Event) -> Duration {
        event.at.saturating_duration_since(self.sent)
    }

    /// Returns whether an event reports the outcome of this request. (QEMU up to 10.x also sends the deprecated
    /// `MEM_UNPLUG_ERROR` with each [`REFUSED`] of a DIMM, which adds nothing.)
    pub(crate) fn is_answered_by(&self, event: &message::Event) -> bool {
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
