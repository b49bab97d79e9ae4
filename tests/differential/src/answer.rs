// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a step came to.

use crate::machine::Device;
use std::fmt;

/// What was answered, and what the host was told meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer to who took the step.
    pub said: Said,
    /// What the host was told, in order.
    pub told: Vec<Told>,
}

/// The status of an `ibm,configure-connector` call after which there is more, whatever it is.
pub const MORE: i32 = 2;

/// The answer to who took a step.
#[derive(Clone, Debug, Eq)]
pub enum Said {
    /// RTAS returned a status.
    Status(i32),
    /// RTAS returned a status and a sensor's state.
    Sensed(i32, u32),
    /// There was an event: the bytes of its hot plug section, from the resource type on.
    Event(Vec<u8>),
    /// There was no event.
    NoEvent,
    /// The host's command was accepted.
    Accepted,
    /// The host's command was rejected, with these words.
    Rejected(String),
    /// The VMM ended, with these words.
    Ended(String),
}

/// Something that the host was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The device it is about.
    pub device: Device,
    /// What.
    pub what: What,
}

/// What became of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is gone.
    Deleted,
    /// The guest refused to give it back.
    Refused,
}

/// Words for people are free to differ.
impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Status(a), Self::Status(b)) => a == b,
            (Self::Sensed(a, x), Self::Sensed(b, y)) => (a, x) == (b, y),
            (Self::Event(a), Self::Event(b)) => a == b,
            (Self::NoEvent, Self::NoEvent) | (Self::Accepted, Self::Accepted) => true,
            (Self::Rejected(_), Self::Rejected(_)) | (Self::Ended(_), Self::Ended(_)) => true,
            _ => false,
        }
    }
}

impl Said {
    /// Whether it says that nothing was done. [`MORE`] is a status that says that something was.
    pub fn is_no(&self) -> bool {
        matches!(self, Self::Status(status) if ![0, MORE].contains(status)) || matches!(self, Self::Rejected(_))
    }
}

impl Answer {
    /// An answer during which the host was told nothing.
    pub fn quiet(said: Said) -> Self {
        Self { said, told: Vec::new() }
    }

    /// How often the host was told this of a device.
    pub fn count(&self, device: Device, what: What) -> usize {
        self.told.iter().filter(|told| **told == Told { device, what }).count()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.said)?;
        self.told.iter().try_for_each(|told| write!(f, ", {told}"))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Sensed(status, state) => write!(f, "{status}, state {state}"),
            Self::Event(bytes) => write!(f, "event {bytes:02x?}"),
            Self::NoEvent => f.write_str("no event"),
            Self::Accepted => f.write_str("accepted"),
            Self::Rejected(why) => write!(f, "rejected ({why})"),
            Self::Ended(why) => write!(f, "the VMM ended ({why})"),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Deleted => "deleted",
            What::Refused => "refused",
        };
        write!(f, "{} {what}", self.device)
    }
}
