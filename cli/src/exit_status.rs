// SPDX-License-Identifier: MIT OR Apache-2.0

//! Exit status, the interface for scripts.

use crate::{end::Interruption, monitor::Stop};
use std::{io, process::ExitCode};

/// Exit status. The numbers are part of the interface and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Success; of `unplug`: the guest gave the device back.
    Done,
    /// Failure before anything was asked of the guest.
    Failed,
    /// The guest refused.
    Refused,
    /// A reset of the machine, or CAS, removed the device before the guest had answered.
    ClosedByReset,
    /// The VM ended or the connection was lost: the outcome is unknown.
    Unknown,
    /// The VM rejected the request.
    Rejected,
    /// The VM's QEMU does not have the command.
    CannotTell,
    /// The device is deleted, and the guest is not known to have given it back.
    Deleted,
    /// The request ended without an answer, and the device stays.
    Ended,
    /// The time that the user set is over.
    TimedOut,
    /// A signal ended the program.
    Interrupted(i32),
}

/// Exit statuses and their meanings, for the manual.
pub const STATUSES: &[(&str, &str)] = &[
    ("0", "done; for unplug and wait: the guest gave the device back, and it is deleted"),
    ("1", "failed, and nothing was asked of the guest"),
    ("2", "the command line is invalid"),
    ("3", "unplug, wait: the guest refused; the device stays, and can be asked for again at once"),
    ("4", "unplug, wait: the machine was reset, or the guest started anew (CAS), and the device went with it"),
    ("5", "the VM ended or the connection was lost; for unplug and wait: the outcome is unknown"),
    ("6", "unplug, withdraw: the VM rejected the request"),
    ("7", "list, wait, withdraw: this VM's QEMU does not have the command"),
    ("8", "unplug, wait: the device is deleted, and this VM does not say that the guest gave it back"),
    ("9", "unplug, wait: the request was withdrawn, or ended as a snapshot was loaded; the device stays"),
    ("124", "unplug, wait: the time of --timeout is over; the output says whether a request is pending"),
    ("128+n", "ended by signal n (Ctrl-C is 130); for unplug: the output says whether a request is pending"),
];

impl ExitStatus {
    /// Returns the number for the operating system.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            // Clap uses 2.
            Self::Refused => 3,
            Self::ClosedByReset => 4,
            Self::Unknown => 5,
            Self::Rejected => 6,
            Self::CannotTell => 7,
            Self::Deleted => 8,
            Self::Ended => 9,
            // As timeout(1) does.
            Self::TimedOut => 124,
            Self::Interrupted(signal) => 128 + u8::try_from(signal).unwrap_or(127).min(127),
        }
    }

    /// Turns the errors that are not failures into an exit status: a signal, and a closed standard output.
    pub fn of_error(error: anyhow::Error) -> anyhow::Result<Self> {
        if let Some(Stop::Interrupted(why)) = error.downcast_ref() {
            if *why == Interruption::Timeout {
                eprintln!("papr-unplug: {why}");
            }
            return Ok(why.exit_status());
        }
        match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Self::Done),
            _ => Err(error),
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(ending: ExitStatus) -> Self {
        ending.code().into()
    }
}
