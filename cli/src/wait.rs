// SPDX-License-Identifier: MIT OR Apache-2.0

//! Wait for the outcomes of removals; `wait`.

use crate::{
    bridge,
    device::Device,
    end::{Interruption, WaitEnd},
    endpoint::Endpoint,
    escape::escaped,
    exit_status::ExitStatus,
    list,
    monitor::{Monitor, Stop},
    notes::Notes,
    outcome::Outcome,
    removal::Removal,
    schema::{EventData, UnplugStatus},
};
use anyhow::{Result, bail};
use papr_unplug_qmp::message::Event;
use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

/// Note on a panicked guest, which may never answer.
pub const PANICKED: &str = "the guest has panicked: this is not a refusal, and the guest may never answer";

/// Interval at which a terminal shows the state of a request.
const REFRESH: Duration = Duration::from_secs(1);

/// Longest time that the user wants to wait.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Until there is an outcome.
    Endless,
    /// Until then.
    Until(Instant),
    /// No longer.
    Ended(Interruption),
}

impl Patience {
    /// Returns the patience for a time from now on, or endless patience.
    pub fn within(time: Option<Duration>) -> Self {
        time.and_then(|time| Instant::now().checked_add(time)).map_or(Self::Endless, Self::Until)
    }

    /// Returns the time at which it ends, if it is limited by one.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Until(deadline) => Some(deadline),
            Self::Endless | Self::Ended(_) => None,
        }
    }
}

/// Removals that are waited for.
pub struct Wait<'a> {
    /// The connection.
    pub monitor: &'a mut Monitor,
    /// Standard error.
    pub notes: &'a Notes,
    /// True if this QEMU lists pending requests.
    pub is_listed: bool,
    /// The removals without an outcome, each with a number of the caller's.
    pub removals: Vec<(usize, Removal)>,
}

/// Waits for the outcome of a request that someone made before.
pub fn run(
    endpoint: &Endpoint,
    as_json: bool,
    patience: Patience,
    number: u64,
    out: &mut dyn Write,
) -> Result<ExitStatus> {
    let notes = Notes::with_spinner();
    let mut monitor = Monitor::greet(endpoint, &notes, patience.deadline())?;
    let status = match list::ask(&mut monitor)? {
        Ok(answer) => UnplugStatus::of(answer),
        Err(error) => {
            notes.say(&format!("this VM's QEMU does not number requests: {error}"));
            return Ok(ExitStatus::CannotTell);
        }
    };
    if let Some(request) = status.requests.iter().flatten().find(|request| request.request == Some(number)) {
        let removal = Removal::pending(&monitor, request);
        let wait = Wait { monitor: &mut monitor, notes: &notes, is_listed: true, removals: vec![(0, removal)] };
        return Ok(wait.until_all_end(patience, as_json, out).next().map_or(ExitStatus::Unknown, |(_, status)| status));
    }
    let is_it = |entry: &&serde_json::Value| EventData::of(Some(entry)).request == Some(number);
    if let Some(entry) = status.outcomes.iter().flatten().rfind(is_it) {
        let outcome = Outcome::listed(entry);
        let exit_status = outcome.exit_status();
        WaitEnd::Outcome(Box::new(outcome)).print(&Device::new(&format!("request {number}")), as_json, out)?;
        return Ok(exit_status);
    }
    if status.last_request.is_some_and(|last| number > last) {
        bail!("there is no request {number} yet; the latest one is {}", status.last_request.unwrap_or_default());
    }
    notes.say(&format!("request {number} has ended, and this VM does not say how"));
    Ok(ExitStatus::Unknown)
}

impl Wait<'_> {
    /// Waits until each removal has an outcome or the wait ends, and prints each end as it comes. Returns the exit
    /// status of each removal with its number.
    pub fn until_all_end(
        mut self,
        patience: Patience,
        as_json: bool,
        out: &mut dyn Write,
    ) -> impl Iterator<Item = (usize, ExitStatus)> {
        let mut ends = Vec::new();
        let mut report = |notes: &Notes, number, device: &Device, end: &WaitEnd| {
            // The exit status is the outcome's also when standard output is closed.
            if let Err(error) = notes.paused(|| end.print(device, as_json, out)) {
                notes.say(&format!("cannot print the outcome: {error}"));
            }
            ends.push((number, end.exit_status()));
        };
        let over = loop {
            if let Patience::Ended(why) = patience {
                break Over::Interrupted(why);
            }
            if self.removals.is_empty() {
                break Over::Interrupted(Interruption::NoWait);
            }
            match self.next() {
                Ok(Some(event)) => {
                    for (number, removal, outcome) in self.ended_by(&event) {
                        report(self.notes, number, removal.device(), &WaitEnd::Outcome(Box::new(outcome)));
                    }
                }
                Ok(None) => {}
                Err(over) => break over,
            }
        };
        // What had come by then counts, unless nobody waits for it.
        while !matches!(over, Over::Interrupted(Interruption::NoWait))
            && let Some(event) = self.monitor.event_received()
        {
            for (number, removal, outcome) in self.ended_by(&event) {
                report(self.notes, number, removal.device(), &WaitEnd::Outcome(Box::new(outcome)));
            }
        }
        for (number, removal) in &self.removals {
            let end = match &over {
                Over::Interrupted(why) => {
                    WaitEnd::Pending { request: removal.request(), is_listed: self.is_listed, why: *why }
                }
                Over::Lost(lost) => WaitEnd::Lost(Arc::clone(lost)),
            };
            report(self.notes, *number, removal.device(), &end);
        }
        ends.into_iter()
    }

    /// Returns the removals that an event ends.
    fn ended_by(&mut self, event: &Event) -> Vec<(usize, Removal, Outcome)> {
        self.remark(event);
        let (mut ended, mut open) = (Vec::new(), Vec::new());
        for (number, mut removal) in std::mem::take(&mut self.removals) {
            match removal.answer(event, self.monitor) {
                Some(outcome) => ended.push((number, removal, outcome)),
                None => open.push((number, removal)),
            }
        }
        self.removals = open;
        ended
    }

    /// Waits for the next event. On a terminal, returns `None` after each refresh of the display.
    fn next(&mut self) -> Result<Option<Event>, Over> {
        if !(self.notes.is_live() && self.is_listed) {
            return Ok(Some(self.monitor.event()?));
        }
        let event = self.monitor.event_within(REFRESH)?;
        if event.is_none() {
            self.refresh()?;
        }
        Ok(event)
    }

    /// Shows the state of the first request on the terminal.
    fn refresh(&mut self) -> Result<(), Over> {
        let now = match list::ask(self.monitor) {
            Ok(answer) => answer.map(UnplugStatus::of).unwrap_or_default(),
            // The outcome may be among the events that were received before.
            Err(Stop::Lost(_)) => UnplugStatus::default(),
            Err(stop) => return Err(stop.into()),
        };
        if let Some((_, removal)) = self.removals.first()
            && let Some(state) = removal.state(&now)
        {
            let others = match self.removals.len() - 1 {
                0 => String::new(),
                others => format!(" (and {others} more)"),
            };
            self.notes.at(&format!("{}: {}{others}", removal.device(), escaped(&state)));
        }
        Ok(())
    }

    /// Prints a note on events that affect the answer.
    fn remark(&self, event: &Event) {
        let remark = match event.name() {
            "STOP" => "the VM was stopped: the guest cannot answer until it runs again",
            "RESUME" => "the VM runs again",
            "RESET" => "the machine was reset",
            "GUEST_PANICKED" | "GUEST_CRASHLOADED" => PANICKED,
            "SHUTDOWN" => "the VM is shutting down",
            name => match bridge::remark(name) {
                Some(remark) => remark,
                None => return,
            },
        };
        self.notes.say(remark);
    }
}

/// End of a wait without an outcome.
enum Over {
    Interrupted(Interruption),
    Lost(Arc<crate::monitor::Lost>),
}

impl From<Stop> for Over {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted(why) => Self::Interrupted(why),
            Stop::Lost(lost) => Self::Lost(Arc::new(lost)),
        }
    }
}
