// SPDX-License-Identifier: MIT OR Apache-2.0

//! The answer to a step.

use crate::machine::Device;
use std::fmt;

/// The response to a step, and the events that the host received meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response to the guest or the host that took the step.
    pub response: Response,
    /// The events about devices, in the order received.
    pub events: Vec<DeviceEvent>,
}

/// The one status that stands for all statuses of `ibm,configure-connector` by which the node goes on.
pub const MORE: i32 = 2;

/// The response to a step.
#[derive(Clone, Debug, Eq)]
pub enum Response {
    /// RTAS returned a status.
    Status(i32),
    /// RTAS returned a status and a sensor's state.
    Sensed(i32, u32),
    /// The guest took an event: the bytes of its hot plug section, from the resource type on.
    Event(Vec<u8>),
    /// No event was queued.
    NoEvent,
    /// The host's command was accepted.
    Accepted,
    /// The host's command was rejected with this message.
    Rejected(String),
    /// The VMM ended; its exit status and last line of output.
    Ended(String),
}

/// A QMP event about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceEvent {
    /// The device.
    pub device: Device,
    /// The kind of event.
    pub kind: EventKind,
}

/// The kind of a [`DeviceEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `DEVICE_DELETED`.
    Deleted,
    /// `DEVICE_UNPLUG_GUEST_ERROR`.
    Refused,
}

/// Compares all but the messages for people, which are free to differ.
impl PartialEq for Response {
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

impl Response {
    /// True if the step changed nothing: a status that is an error, or a rejection. [`MORE`] is no error.
    pub fn is_no(&self) -> bool {
        matches!(self, Self::Status(status) if ![0, MORE].contains(status)) || matches!(self, Self::Rejected(_))
    }
}

impl Answer {
    /// Makes an answer without events.
    pub fn without_events(response: Response) -> Self {
        Self { response, events: Vec::new() }
    }

    /// Counts the events of this kind about a device.
    pub fn count(&self, device: Device, kind: EventKind) -> usize {
        self.events.iter().filter(|event| **event == DeviceEvent { device, kind }).count()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.response)?;
        self.events.iter().try_for_each(|event| write!(f, ", {event}"))
    }
}

impl fmt::Display for Response {
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

impl fmt::Display for DeviceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            EventKind::Deleted => "deleted",
            EventKind::Refused => "refused",
        };
        write!(f, "{} {kind}", self.device)
    }
}
