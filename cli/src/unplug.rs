// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug`: request for a device, and the wait for its outcome.

use crate::{
    endpoint::Endpoint,
    escape::escaped,
    exit_status::ExitStatus,
    list,
    monitor::{Lost, Monitor, Stop},
    notes::Notes,
    outcome::Outcome,
    schema::UnplugStatus,
};
use anyhow::Result;
use papr_unplug_qmp::message::{CommandError, Event};
use serde_json::{Value, json};
use std::{io::Write, time::Duration};

/// Note on a panicked guest, which may never answer.
const PANICKED: &str = "the guest has panicked: this is not a refusal, and the guest may never answer";

/// Interval at which a terminal shows the state of the request.
const REFRESH: Duration = Duration::from_secs(1);

/// Asks for a device, waits, and prints the outcome.
pub fn run(endpoint: &Endpoint, as_json: bool, device: &str, out: &mut dyn Write) -> Result<ExitStatus> {
    let notes = Notes::with_spinner();
    notes.at("waiting for the VM");
    let mut monitor = Monitor::greet(endpoint, &notes)?;
    let before = list::ask(&mut monitor)?.ok().map(UnplugStatus::of);
    let obstacle = obstacle(&mut monitor)?;
    monitor.forget();
    let asked = monitor.execute("device_del", json!({ "id": device }));

    let name = escaped(device);
    notes.at(&format!("{name}: asked, waiting for the guest"));
    let removal = Removal { device, before, notes: &notes };
    let end = match asked {
        Ok(Ok(_)) => {
            removal.introduce(obstacle.as_deref());
            removal.follow(&mut monitor)
        }
        Ok(Err(error)) => Ok(End::Rejected(error)),
        Err(stop) => Err(stop),
    };
    let is_listed = removal.before.is_some();
    let end = end.unwrap_or_else(|stop| match stop {
        Stop::Interrupted(signal) => End::Pending { signal, is_listed },
        Stop::Lost(lost) => End::Lost(lost),
    });
    drop(removal);
    drop(notes);
    // The exit status is the outcome's also when standard output is closed.
    if let Err(error) = end.print(device, as_json, out) {
        Notes::default().say(&format!("cannot print the outcome: {error}"));
    }
    Ok(end.exit_status())
}

/// End of the wait.
enum End {
    /// The request has an outcome.
    Outcome(Outcome),
    /// The VM rejected the request.
    Rejected(CommandError),
    /// A signal ended the wait.
    Pending {
        /// The signal.
        signal: i32,
        /// Whether this QEMU lists pending requests.
        is_listed: bool,
    },
    /// The connection was lost.
    Lost(Lost),
}

/// Removal that was requested.
struct Removal<'a> {
    device: &'a str,
    /// The status before the request; `None` if this QEMU has no such status.
    before: Option<UnplugStatus>,
    notes: &'a Notes,
}

impl Removal<'_> {
    /// Prints the limits of what can be known.
    fn introduce(&self, obstacle: Option<&str>) {
        if self.before.is_none() {
            self.notes.say(
                "this VM's QEMU gives no reason for a refusal, and a guest may refuse silently; waiting until there is an \
                 answer",
            );
        }
        if let Some(obstacle) = obstacle {
            self.notes.say(obstacle);
        }
    }

    fn follow(&self, monitor: &mut Monitor) -> Result<End, Stop> {
        let earlier = self.before.as_ref().and_then(|before| before.last_request);
        loop {
            let Some(event) = self.next(monitor)? else { continue };
            self.remark(&event);
            match Outcome::read(event, monitor)? {
                Some(outcome) if outcome.answers(self.device, earlier) => return Ok(End::Outcome(outcome)),
                _ => {}
            }
        }
    }

    /// Waits for the next event. On a terminal, returns `None` after each refresh of the display.
    fn next(&self, monitor: &mut Monitor) -> Result<Option<Event>, Stop> {
        if !(self.notes.is_live() && self.before.is_some()) {
            return monitor.event().map(Some);
        }
        let event = monitor.event_within(REFRESH)?;
        if event.is_none() {
            let now = match list::ask(monitor) {
                Ok(answer) => answer.map(UnplugStatus::of).unwrap_or_default(),
                // The outcome may be among the events that were received before.
                Err(Stop::Lost(_)) => UnplugStatus::default(),
                Err(stop) => return Err(stop),
            };
            let mine = now.requests.iter().flatten().rfind(|request| request.is_for(self.device));
            if let Some(mine) = mine {
                self.notes.at(&format!("{}: {}", escaped(self.device), list::state(mine)));
            }
        }
        Ok(event)
    }

    /// Prints a note on events that affect the answer.
    fn remark(&self, event: &Event) {
        let remark = match event.name() {
            "STOP" => "the VM was stopped: the guest cannot answer until it runs again",
            "RESUME" => "the VM runs again",
            "RESET" => "the machine was reset",
            "GUEST_PANICKED" | "GUEST_CRASHLOADED" => PANICKED,
            "SHUTDOWN" => "the VM is shutting down",
            _ => return,
        };
        self.notes.say(remark);
    }
}

impl End {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Outcome(outcome) => outcome.exit_status(),
            Self::Rejected(_) => ExitStatus::Rejected,
            Self::Pending { signal, .. } => ExitStatus::Interrupted(*signal),
            Self::Lost(_) => ExitStatus::Unknown,
        }
    }

    fn print(&self, device: &str, as_json: bool, out: &mut dyn Write) -> Result<()> {
        if as_json {
            writeln!(out, "{}", self.json(device)?)?;
        } else {
            write!(out, "{}", self.text(device))?;
        }
        Ok(out.flush()?)
    }

    fn text(&self, device: &str) -> String {
        let name = escaped(device);
        match self {
            Self::Outcome(outcome) => outcome.text(),
            Self::Rejected(error) => {
                format!("{name}: rejected by the VM: {}\n  what to do: {}\n", escaped(&error.to_string()), fix(error))
            }
            Self::Pending { is_listed, .. } => format!(
                "{name}: still pending; the wait has ended, the request has not\n  what to do: \
                 `papr-unplug watch` shows its outcome{}\n",
                if *is_listed { ", `papr-unplug list` its state" } else { ", if there is one" }
            ),
            Self::Lost(lost) => {
                let lost = causes(lost);
                format!(
                    "{name}: unknown: the connection to the VM is lost ({lost})\n  what to do: check whether the VM runs\n"
                )
            }
        }
    }

    fn json(&self, device: &str) -> serde_json::Result<String> {
        match self {
            Self::Outcome(outcome) => outcome.json(),
            Self::Rejected(CommandError { class, description }) => Ok(json!({
                "outcome": "rejected", "device": device, "error": { "class": class, "desc": description }
            })
            .to_string()),
            Self::Pending { .. } => Ok(json!({ "outcome": "pending", "device": device }).to_string()),
            Self::Lost(lost) => {
                Ok(json!({ "outcome": "unknown", "device": device, "error": causes(lost) }).to_string())
            }
        }
    }
}

impl UnplugStatus {
    fn of(answer: Value) -> Self {
        serde_json::from_value(answer).unwrap_or_default()
    }
}

/// Returns a note on a VM whose guest cannot answer now.
fn obstacle(monitor: &mut Monitor) -> Result<Option<String>, Stop> {
    let answer = monitor.execute("query-status", json!({}))?.unwrap_or_default();
    let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    let runs = answer.get("running").and_then(Value::as_bool).unwrap_or(true);
    Ok(match (runs, status) {
        (_, "guest-panicked") => Some(PANICKED.to_owned()),
        (false, status) => {
            Some(format!("the VM does not run ({}): the guest cannot answer until it does", escaped(status)))
        }
        (true, _) => None,
    })
}

/// Returns what a user can do about a request that the VM rejects.
fn fix(error: &CommandError) -> &'static str {
    if error.class == "DeviceNotFound" {
        "name the id that the device was added with; -device and device_add take it as id=ID"
    } else if error.description.contains("already in progress") {
        "an earlier request is pending, and this QEMU accepts no second one; a reset of the guest ends it"
    } else {
        "see the VM's message"
    }
}

fn causes(lost: &Lost) -> String {
    let mut text = lost.to_string();
    let mut cause = std::error::Error::source(lost);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
