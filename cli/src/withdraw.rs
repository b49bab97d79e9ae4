// SPDX-License-Identifier: MIT OR Apache-2.0

//! `withdraw`: end of a request by its user.

use crate::{
    endpoint::Endpoint,
    escape::{escaped, escaped_json},
    exit_status::ExitStatus,
    monitor::Monitor,
    notes::Notes,
    outcome_kind::OutcomeKind,
    removal::withdraw,
    schema::WITHDRAW,
};
use anyhow::Result;
use papr_unplug_qmp::message::CommandError;
use serde_json::json;
use std::io::Write;

/// Withdraws a request.
pub fn run(endpoint: &Endpoint, as_json: bool, request: u64, out: &mut dyn Write) -> Result<ExitStatus> {
    let notes = Notes::default();
    let mut monitor = Monitor::greet(endpoint, &notes, None)?;
    let (object, text, status) = match withdraw(&mut monitor, request)? {
        Ok(_) => (
            json!({ "outcome": "withdrawn", "request": request }),
            format!("withdrawn\n  meaning: {}", OutcomeKind::Withdrawn.meaning().unwrap_or_default()),
            ExitStatus::Done,
        ),
        Err(error) if error.is_unknown_command() => {
            notes.say(&format!("this VM's QEMU cannot withdraw a request: it has no {WITHDRAW}"));
            return Ok(ExitStatus::CannotTell);
        }
        Err(error) => {
            let CommandError { class, description } = &error;
            (
                json!({ "outcome": "rejected", "request": request, "error": { "class": class, "desc": description } }),
                format!("rejected by the VM: {}", escaped(&error.to_string())),
                ExitStatus::Rejected,
            )
        }
    };
    if as_json {
        writeln!(out, "{}", escaped_json(&object.to_string()))?;
    } else {
        writeln!(out, "request {request}: {text}")?;
    }
    Ok(status)
}
