// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug`: ask for a device, and wait for what becomes of it.

use crate::{
    ending::Ending,
    endpoint::Endpoint,
    list,
    monitor::{Lost, Monitor, Stop},
    notes::Notes,
    outcome::Outcome,
    plain::plain,
    schema::Unplugs,
};
use anyhow::Result;
use papr_unplug_qmp::message::{CommandError, Event};
use serde_json::{Value, json};
use std::{io::Write, time::Duration};

/// Such a guest's answer is unknown, and that is all there is to say.
const PANICKED: &str = "the guest has panicked: that is no refusal; whether an answer comes is unknown";

/// How often a terminal is shown how far the guest is.
const REFRESH: Duration = Duration::from_secs(1);

/// Asks, waits, and tells.
pub fn run(endpoint: &Endpoint, as_json: bool, device: &str, out: &mut dyn Write) -> Result<Ending> {
    let notes = Notes::with_spinner();
    notes.at("waiting for the VM");
    let mut monitor = Monitor::greet(endpoint, &notes)?;
    let before = list::ask(&mut monitor)?.ok().map(Unplugs::of);
    let obstacle = obstacle(&mut monitor)?;
    monitor.forget();
    let asked = monitor.execute("device_del", json!({ "id": device }));

    let name = plain(device);
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
    // Whether anybody reads it or not, the exit status says what became of the device.
    if let Err(error) = end.tell(device, as_json, out) {
        Notes::default().say(&format!("cannot say how it ended: {error}"));
    }
    Ok(end.ending())
}

/// How the waiting ended.
enum End {
    /// With the outcome.
    Outcome(Outcome),
    /// The VM did not take the request.
    Rejected(CommandError),
    /// The user does not wait any longer.
    Pending {
        /// What interrupted the waiting.
        signal: i32,
        /// Whether this QEMU can tell what is pending.
        is_listed: bool,
    },
    /// There is nobody left to tell.
    Lost(Lost),
}

/// A removal that was asked for.
struct Removal<'a> {
    device: &'a str,
    /// What was pending before; `None` if this QEMU cannot tell.
    before: Option<Unplugs>,
    notes: &'a Notes,
}

impl Removal<'_> {
    /// Says what the user cannot expect.
    fn introduce(&self, obstacle: Option<&str>) {
        if self.before.is_none() {
            self.notes.say(
                "this VM's QEMU does not tell why a guest refuses, and the guest may refuse without telling anybody; \
                 waiting as long as you do",
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

    /// The next event. Where somebody looks on, the display is refreshed while there is none.
    fn next(&self, monitor: &mut Monitor) -> Result<Option<Event>, Stop> {
        if !(self.notes.is_live() && self.before.is_some()) {
            return monitor.event().map(Some);
        }
        let event = monitor.event_within(REFRESH)?;
        if event.is_none() {
            let now = match list::ask(monitor) {
                Ok(answer) => answer.map(Unplugs::of).unwrap_or_default(),
                // The outcome may have come before: who waits for the next event will see.
                Err(Stop::Lost(_)) => Unplugs::default(),
                Err(stop) => return Err(stop),
            };
            let mine = now.requests.iter().flatten().rfind(|request| request.is_for(self.device));
            if let Some(mine) = mine {
                self.notes.at(&format!("{}: {}", plain(self.device), list::state(mine)));
            }
        }
        Ok(event)
    }

    /// What happens to the VM meanwhile and has a bearing on the answer.
    fn remark(&self, event: &Event) {
        let remark = match event.name() {
            "STOP" => "the VM was stopped: its guest cannot answer until it runs",
            "RESUME" => "the VM runs again",
            "RESET" => "the machine was reset",
            "GUEST_PANICKED" | "GUEST_CRASHLOADED" => PANICKED,
            "SHUTDOWN" => "the VM shuts down",
            _ => return,
        };
        self.notes.say(remark);
    }
}

impl End {
    fn ending(&self) -> Ending {
        match self {
            Self::Outcome(outcome) => outcome.ending(),
            Self::Rejected(_) => Ending::Rejected,
            Self::Pending { signal, .. } => Ending::Interrupted(*signal),
            Self::Lost(_) => Ending::Unknown,
        }
    }

    fn tell(&self, device: &str, as_json: bool, out: &mut dyn Write) -> Result<()> {
        if as_json {
            writeln!(out, "{}", self.json(device)?)?;
        } else {
            write!(out, "{}", self.text(device))?;
        }
        Ok(out.flush()?)
    }

    fn text(&self, device: &str) -> String {
        let name = plain(device);
        match self {
            Self::Outcome(outcome) => outcome.text(),
            Self::Rejected(error) => {
                format!("{name}: not asked for: {}\n  what to do: {}\n", plain(&error.to_string()), fix(error))
            }
            Self::Pending { is_listed, .. } => format!(
                "{name}: still pending; nobody waits for it here any longer, but the request stands\n  what to do: \
                 `papr-unplug watch` shows its outcome{}\n",
                if *is_listed { ", `papr-unplug list` whether the guest has begun" } else { ", if there will be one" }
            ),
            Self::Lost(lost) => {
                let lost = causes(lost);
                format!(
                    "{name}: unknown: the connection to the VM is lost ({lost})\n  what to do: see whether the VM runs\n"
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

impl Unplugs {
    fn of(answer: Value) -> Self {
        serde_json::from_value(answer).unwrap_or_default()
    }
}

/// What keeps the guest from answering now.
fn obstacle(monitor: &mut Monitor) -> Result<Option<String>, Stop> {
    let answer = monitor.execute("query-status", json!({}))?.unwrap_or_default();
    let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    let runs = answer.get("running").and_then(Value::as_bool).unwrap_or(true);
    Ok(match (runs, status) {
        (_, "guest-panicked") => Some(PANICKED.to_owned()),
        (false, status) => {
            Some(format!("the VM does not run ({}): its guest cannot answer until it does", plain(status)))
        }
        (true, _) => None,
    })
}

/// What a user can do about a request that the VM does not take.
fn fix(error: &CommandError) -> &'static str {
    if error.class == "DeviceNotFound" {
        "name the id that the device was added with; -device and device_add take it as id=ID"
    } else if error.description.contains("already in progress") {
        "an earlier request stands, and this QEMU takes no second one; a reset of the guest ends it"
    } else {
        "see what the VM says"
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
