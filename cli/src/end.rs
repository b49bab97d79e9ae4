// SPDX-License-Identifier: MIT OR Apache-2.0

//! End of the wait for a removal: the outcome, or the reason why there is none.

use crate::{
    device::Device,
    escape::{escaped, escaped_json},
    exit_status::ExitStatus,
    monitor::Lost,
    outcome::Outcome,
};
use anyhow::Result;
use papr_unplug_qmp::message::CommandError;
use serde_json::json;
use std::{fmt, io::Write, sync::Arc};

/// End of the wait for one device.
#[derive(Clone, Debug)]
pub enum WaitEnd {
    /// The request has an outcome.
    Outcome(Box<Outcome>),
    /// The VM rejected the request.
    Rejected(CommandError),
    /// The program was interrupted before it asked for the device.
    NotAsked(Interruption),
    /// The program was interrupted before the VM had answered `device_del`.
    MaybeAsked(Interruption),
    /// The wait ended before the request.
    Pending {
        /// The number of the request, if QEMU says it.
        request: Option<u64>,
        /// True if this QEMU lists pending requests.
        is_listed: bool,
        /// The reason for the end of the wait.
        why: Interruption,
    },
    /// The connection was lost.
    Lost(Arc<Lost>),
}

/// Reason for the program not to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// A signal.
    Signal(i32),
    /// The time of `--timeout` is over.
    Timeout,
    /// `--no-wait`.
    NoWait,
}

impl WaitEnd {
    /// Returns the exit status.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Outcome(outcome) => outcome.exit_status(),
            Self::Rejected(_) => ExitStatus::Rejected,
            Self::NotAsked(why) | Self::MaybeAsked(why) | Self::Pending { why, .. } => why.exit_status(),
            Self::Lost(_) => ExitStatus::Unknown,
        }
    }

    /// Prints the end, as text or as JSON.
    pub fn print(&self, device: &Device, as_json: bool, out: &mut dyn Write) -> Result<()> {
        if as_json {
            writeln!(out, "{}", self.json(device)?)?;
        } else {
            write!(out, "{}", self.text(device))?;
        }
        Ok(out.flush()?)
    }

    fn text(&self, device: &Device) -> String {
        match self {
            Self::Outcome(outcome) => outcome.text(),
            Self::Rejected(error) => {
                format!("{device}: rejected by the VM: {}\n  what to do: {}\n", escaped(&error.to_string()), fix(error))
            }
            Self::NotAsked(why) => format!("{device}: not asked for: {why}\n"),
            Self::MaybeAsked(_) => format!(
                "{device}: unknown: the VM had not accepted or rejected the request yet\n  what to do: `papr-unplug \
                 watch` shows the outcome, if there is one; asking again does no harm\n"
            ),
            Self::Pending { request, is_listed, why } => {
                let numbered = request.map(|request| format!(", request {request}")).unwrap_or_default();
                let state = match why {
                    Interruption::NoWait => "asked for",
                    Interruption::Signal(_) | Interruption::Timeout => "still pending",
                };
                let mut advice = vec![match request {
                    Some(request) => format!("`papr-unplug wait {request}` waits for its outcome"),
                    None => "`papr-unplug watch` shows its outcome, if there is one".to_owned(),
                }];
                advice.extend(is_listed.then(|| "`papr-unplug list` shows its state".to_owned()));
                advice.extend(request.map(|request| format!("`papr-unplug withdraw {request}` ends it")));
                format!("{device}: {state}{numbered}\n  what to do: {}\n", advice.join("; "))
            }
            Self::Lost(lost) => {
                let lost = escaped(&causes(lost));
                format!(
                    "{device}: unknown: the connection to the VM is lost ({lost})\n  what to do: check whether the VM \
                     runs\n"
                )
            }
        }
    }

    fn json(&self, device: &Device) -> serde_json::Result<String> {
        let device = device.id().unwrap_or(device.name());
        let object = match self {
            Self::Outcome(outcome) => return outcome.json(),
            Self::Rejected(CommandError { class, description }) => {
                json!({ "outcome": "rejected", "device": device, "error": { "class": class, "desc": description } })
            }
            Self::NotAsked(_) => json!({ "outcome": "not-asked", "device": device }),
            Self::MaybeAsked(_) => {
                json!({ "outcome": "unknown", "device": device, "error": "interrupted before the VM had answered" })
            }
            Self::Pending { request: Some(request), .. } => {
                json!({ "outcome": "pending", "device": device, "request": request })
            }
            Self::Pending { request: None, .. } => json!({ "outcome": "pending", "device": device }),
            Self::Lost(lost) => json!({ "outcome": "unknown", "device": device, "error": causes(lost) }),
        };
        Ok(escaped_json(&object.to_string()))
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "interrupted by signal {signal}"),
            Self::Timeout => f.write_str("the time of --timeout is over"),
            Self::NoWait => f.write_str("not waited for"),
        }
    }
}

impl Interruption {
    /// Returns the exit status.
    pub fn exit_status(self) -> ExitStatus {
        match self {
            Self::Signal(signal) => ExitStatus::Interrupted(signal),
            Self::Timeout => ExitStatus::TimedOut,
            Self::NoWait => ExitStatus::Done,
        }
    }
}

/// Returns what a user can do about a request that the VM rejects.
fn fix(error: &CommandError) -> &'static str {
    if error.class == "DeviceNotFound" {
        "name the id that the device was added with: -device and device_add take it as id=ID, and `virsh dumpxml` shows it as \
         the alias"
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
