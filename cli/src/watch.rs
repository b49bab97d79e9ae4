// SPDX-License-Identifier: MIT OR Apache-2.0

//! `watch`: each outcome as it happens.

use crate::{
    bridge,
    endpoint::Endpoint,
    exit_status::ExitStatus,
    history::History,
    list,
    monitor::{Monitor, Stop},
    notes::Notes,
    outcome::Outcome,
};
use anyhow::Result;
use std::io::Write;

/// Prints the outcomes of all removals of a VM until it ends.
pub fn run(endpoint: &Endpoint, json: bool, out: &mut dyn Write) -> Result<ExitStatus> {
    let notes = Notes::default();
    let mut monitor = Monitor::greet(endpoint, &notes, None)?;
    // A script that starts this in the background needs to know when it can begin to make requests.
    notes.say(if list::ask(&mut monitor)?.is_ok() {
        "following the VM"
    } else {
        "following the VM. Its QEMU gives no reason for a refusal and does not name the request; it may report one \
         refusal twice, and others not at all"
    });
    let mut history = History::new(true);
    let mut has_shut_down = false;
    loop {
        let event = match monitor.event() {
            Ok(event) => event,
            Err(Stop::Lost(_)) if has_shut_down => return Ok(ExitStatus::Done),
            Err(Stop::Lost(lost)) => {
                let lost = anyhow::Error::new(lost);
                notes.say(&format!("the VM is gone: {lost:#}"));
                return Ok(ExitStatus::Unknown);
            }
            Err(interrupted) => return Err(interrupted.into()),
        };
        has_shut_down |= event.name() == "SHUTDOWN";
        history.note(event.name());
        bridge::remark(event.name()).into_iter().for_each(|remark| notes.say(remark));
        let history = history.up_to(&event, &mut monitor);
        let Some(outcome) = Outcome::of(event, &history) else { continue };
        let line = if json { outcome.json()? } else { outcome.line() };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
}
