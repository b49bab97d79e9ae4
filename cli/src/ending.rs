// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a run ends, as scripts see it.

use crate::monitor::Stop;
use std::{io, process::ExitCode};

/// The exit status. The numbers are part of the interface and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done; of `unplug`: the guest gave the device back.
    Done,
    /// It could not be done, and nothing was asked of the guest.
    Failed,
    /// The guest refused.
    Refused,
    /// The machine was reset, and the device went with it: the guest was not asked to the end.
    ClosedByReset,
    /// The VM ended, or the connection to it, and nobody knows what became of the request.
    Unknown,
    /// The VM did not take the request.
    Rejected,
    /// This VM cannot tell what was asked for.
    CannotTell,
    /// A signal.
    Interrupted(i32),
}

/// Each exit status and what it means, for the manual.
pub const STATUSES: &[(&str, &str)] = &[
    ("0", "done; for unplug: the guest gave the device back, and it is deleted"),
    ("1", "it could not be done, and nothing was asked of the guest"),
    ("2", "the command line makes no sense"),
    ("3", "unplug: the guest refused; the device stays, and can be asked for again at once"),
    ("4", "unplug: the machine was reset, and the device went with it; the guest did not agree to that"),
    ("5", "the VM ended or the connection was lost; for unplug: what became of the request is unknown"),
    ("6", "unplug: the VM did not take the request"),
    ("7", "list: this VM's QEMU cannot tell"),
    ("128+n", "ended by signal n (Ctrl-C is 130); for unplug: the request is still pending"),
];

impl Ending {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            // 2 is clap's.
            Self::Refused => 3,
            Self::ClosedByReset => 4,
            Self::Unknown => 5,
            Self::Rejected => 6,
            Self::CannotTell => 7,
            Self::Interrupted(signal) => 128 + u8::try_from(signal).unwrap_or(127).min(127),
        }
    }

    /// Errors that are no failures: the user's interruption, and a reader who has seen enough.
    pub fn of_error(error: anyhow::Error) -> anyhow::Result<Self> {
        if let Some(Stop::Interrupted(signal)) = error.downcast_ref() {
            return Ok(Self::Interrupted(*signal));
        }
        match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Self::Done),
            _ => Err(error),
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        ending.code().into()
    }
}
