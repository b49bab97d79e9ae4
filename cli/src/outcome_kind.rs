// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kind of an outcome, as QEMU names it and as the program does.

use serde::Serialize;

/// Kind of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The guest gave the device back.
    Released,
    /// The device is deleted, and the VM does not say what took it.
    Deleted,
    /// The VM took the device, because the bus that it was on is gone.
    Removed,
    /// The guest refused.
    Refused,
    /// A reset removed the device before the guest had answered.
    ClosedByReset,
    /// CAS removed the device before the guest had answered.
    ClosedByCas,
    /// The load of a snapshot replaced the requests of the VM.
    ClosedByLoad,
    /// A user withdrew the request.
    Withdrawn,
    /// The request ended in a way that is newer than this program.
    Ended,
}

impl OutcomeKind {
    /// Returns the kind that QEMU names.
    pub fn named(outcome: &str) -> Self {
        match outcome {
            "released" => Self::Released,
            "refused" => Self::Refused,
            "reset" => Self::ClosedByReset,
            "cas" => Self::ClosedByCas,
            "load" => Self::ClosedByLoad,
            "removed" => Self::Removed,
            "withdrawn" => Self::Withdrawn,
            _ => Self::Ended,
        }
    }

    /// Returns what the outcome means, for outcomes without a reason.
    pub fn meaning(self) -> Option<&'static str> {
        match self {
            Self::Released | Self::Refused | Self::Ended => None,
            Self::Deleted => {
                Some("the device is gone; this VM does not say whether the guest gave it back or a reset took it")
            }
            Self::Removed => Some("the device is gone, because the bus that it was on is gone"),
            Self::ClosedByReset => Some("the machine was reset before the guest had given the device back"),
            Self::ClosedByCas => Some("the guest started anew before it had given the device back"),
            Self::ClosedByLoad => Some("the snapshot that was loaded does not have this request; ask again"),
            Self::Withdrawn => {
                Some("the request is over; the device is deleted all the same if the guest gives it back later")
            }
        }
    }
}
