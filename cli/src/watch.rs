// SPDX-License-Identifier: MIT OR Apache-2.0

//! `watch`: every outcome, as it comes.

use crate::{
    ending::Ending,
    endpoint::Endpoint,
    list,
    monitor::{Monitor, Stop},
    notes::Notes,
    outcome::Outcome,
};
use anyhow::Result;
use std::io::Write;

/// Follows the VM.
pub fn run(endpoint: &Endpoint, json: bool, out: &mut dyn Write) -> Result<Ending> {
    let notes = Notes::default();
    let mut monitor = Monitor::greet(endpoint, &notes)?;
    // Whoever starts this beside something else has to know from when on nothing is missed.
    notes.say(if list::ask(&mut monitor)?.is_ok() {
        "following the VM"
    } else {
        "following the VM. Its QEMU tells neither why a guest refuses nor which request it means; it may tell one \
         refusal twice, and others not at all"
    });
    let mut has_shut_down = false;
    loop {
        let event = match monitor.event() {
            Ok(event) => event,
            Err(Stop::Lost(_)) if has_shut_down => return Ok(Ending::Done),
            Err(Stop::Lost(lost)) => {
                let lost = anyhow::Error::new(lost);
                notes.say(&format!("the VM is gone: {lost:#}"));
                return Ok(Ending::Unknown);
            }
            Err(interrupted) => return Err(interrupted.into()),
        };
        has_shut_down |= event.name() == "SHUTDOWN";
        let Some(outcome) = Outcome::read(event, &mut monitor)? else { continue };
        let line = if json { outcome.json()? } else { outcome.line() };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
}
