// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal that was requested, and the search for its outcome among the VM's events.

use crate::{
    bridge::LOST,
    device::Device,
    history::History,
    list,
    monitor::{Monitor, Stop},
    outcome::{Charge, Outcome},
    schema::{DELETED, Request, Requested, UnplugStatus, WITHDRAW},
};
use papr_unplug_qmp::{
    message::{CommandError, Event},
    session::Answer,
};
use serde_json::json;

/// Removal that was requested.
#[derive(Debug)]
pub struct Removal {
    device: Device,
    /// The number of the request, if QEMU says it.
    request: Option<u64>,
    /// The number of the latest request before this one, if QEMU numbers requests.
    earlier: Option<u64>,
    /// True if this program made the request, and so may withdraw it.
    is_own: bool,
    is_withheld: bool,
    /// Number of events before `device_del`.
    asked_at: u64,
    /// Number of events before the answer to `device_del`.
    accepted_at: u64,
    history: History,
}

impl Removal {
    /// Asks for a device. `earlier` is the latest request before, if QEMU numbers requests; `runs` is whether the VM runs.
    pub fn ask(
        monitor: &mut Monitor,
        device: Device,
        earlier: Option<u64>,
        runs: bool,
    ) -> Result<Result<Self, CommandError>, Stop> {
        let asked_at = monitor.received();
        let requested = match monitor.execute("device_del", json!({ "id": device.name() }))? {
            Ok(answer) => Requested::of(answer),
            Err(error) => return Ok(Err(error)),
        };
        let mut history = History::new(runs);
        // The connection to libvirt may have been lost meanwhile, and with it a reset.
        monitor.upcoming().filter(|event| *event == LOST).for_each(|event| history.note(event));
        Ok(Ok(Self {
            device,
            request: requested.request,
            earlier,
            is_own: true,
            is_withheld: requested.withheld == Some(true),
            asked_at,
            accepted_at: monitor.received(),
            history,
        }))
    }

    /// Finds the number of this request in the VM's lists, where `device_del` did not return it: it is the only new
    /// request for the device, and may have ended.
    pub fn identify(&mut self, monitor: &mut Monitor) -> Result<(), Stop> {
        if self.request.is_some() || self.earlier.is_none() {
            return Ok(());
        }
        let status = match list::ask(monitor) {
            Ok(answer) => answer.map(UnplugStatus::of).unwrap_or_default(),
            // The outcome may be among the events that were received before.
            Err(Stop::Lost(_)) => return Ok(()),
            Err(stop) => return Err(stop),
        };
        let mut new = status.numbers_for(&self.device).filter(|number| Some(*number) > self.earlier);
        if let (Some(found), None) = (new.next(), new.next()) {
            self.request = Some(found);
        }
        Ok(())
    }

    /// Returns a removal that someone requested before, and that is pending.
    pub fn pending(monitor: &Monitor, request: &Request) -> Self {
        let name = request.device.as_deref().or(request.path.as_deref()).unwrap_or_default();
        Self {
            device: Device::new(name),
            request: request.request,
            earlier: None,
            is_own: false,
            is_withheld: request.withheld == Some(true),
            asked_at: 0,
            accepted_at: monitor.taken(),
            history: History::new(true),
        }
    }

    /// Returns the device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the number of the request, if QEMU says it.
    pub fn request(&self) -> Option<u64> {
        self.request
    }

    /// Returns whether the guest is not asked until another device is.
    pub fn is_withheld(&self) -> bool {
        self.is_withheld
    }

    /// Returns the state of this request in a list, for display.
    pub fn state(&self, status: &UnplugStatus) -> Option<String> {
        status.requests_for(&self.device).filter(|request| self.may_be(request)).last().map(list::state)
    }

    /// Returns the outcome of this removal if `event` has it. The event is the latest one that was taken from
    /// `monitor`.
    pub fn answer(&mut self, event: &Event, monitor: &mut Monitor) -> Option<Outcome> {
        let position = monitor.taken() - 1;
        if position >= self.accepted_at {
            self.history.note(event.name());
        }
        if position < self.asked_at {
            return None;
        }
        let history = self.history.up_to(event, monitor);
        let outcome = Outcome::of(event.clone(), &history)?;
        let is_mine = self.request.is_some_and(|request| outcome.data().ended().any(|ended| ended == request));
        if is_mine || event.name() == DELETED && outcome.data().is_about(&self.device) {
            return Some(outcome);
        }
        // Before the VM accepted the request, it can only have sent the outcome of an earlier one.
        if position < self.accepted_at || !outcome.data().is_about(&self.device) {
            return None;
        }
        match (outcome.data().request, self.request.or(self.earlier)) {
            // Stock QEMU does not number requests, and accepts only one at a time for a device.
            (None, _) | (Some(_), None) => Some(outcome),
            (Some(ended), Some(limit)) if ended <= limit => self.charged(outcome, monitor),
            (Some(_), Some(_)) => self.request.is_none().then_some(outcome),
        }
    }

    /// Returns an inferred refusal of an earlier request as an answer to this one, if this one is open and not
    /// promised: the guest refused something, QEMU charges hints to the oldest request, and no more certain answer will
    /// come.
    fn charged(&self, outcome: Outcome, monitor: &mut Monitor) -> Option<Outcome> {
        let charged_to = outcome.inferred()?;
        // If the connection or the wait has ended, the next one tells.
        let status = list::ask(monitor).ok()?.map(UnplugStatus::of).unwrap_or_default();
        let mut own = status.requests_for(&self.device).filter(|request| self.may_be(request)).peekable();
        if own.peek().is_none() || own.any(|request| request.promised == Some(true)) {
            return None;
        }
        // Otherwise the request would stay open, and take the next hint from the one after it.
        let withdrawn = match self.request.filter(|_| self.is_own).map(|request| withdraw(monitor, request)) {
            Some(Ok(Ok(_))) => true,
            Some(Ok(Err(error))) if error.is_unknown_command() => false,
            // The request has just ended; its outcome is among the events that were received before.
            Some(Ok(Err(_))) => return None,
            // The refusal was received before the end of the connection, or of the wait.
            Some(Err(_)) | None => false,
        };
        Some(outcome.charged(Charge { charged_to, own_request: self.request, withdrawn }))
    }

    /// Returns whether a pending request for the device is this one, as far as QEMU says.
    fn may_be(&self, request: &Request) -> bool {
        match self.request {
            Some(own) => request.request == Some(own),
            None => request.request > self.earlier,
        }
    }
}

/// Withdraws a request.
pub fn withdraw(monitor: &mut Monitor, request: u64) -> Result<Answer, Stop> {
    monitor.execute(WITHDRAW, json!({ "request": request }))
}
