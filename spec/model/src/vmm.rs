// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a VMM is to the model: inputs in, effects out. This is the interface by which an implementation plugs in.

use crate::machine::{Connector, Device};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    reason::Reason,
    report::{Errno, Word},
    rtas::{Indicator, Status},
    token::Token,
};
use std::{fmt, hash::Hash};

/// A VMM's part of the conversation: a pure function from state and input to state and effects.
pub trait Vmm: Clone + Eq + Hash {
    /// Whether it tells which request an outcome belongs to.
    const NAMES_REQUESTS: bool = true;

    /// Takes one input.
    fn step(&mut self, input: Input) -> Effects;

    /// Whether the device is still plugged.
    fn present(&self, device: Device) -> bool;

    /// Whether the guest can use what is behind the connector (dr-entity-sense says PRESENT).
    fn usable(&self, connector: Connector) -> bool;

    /// The requests that have no outcome yet, as the user sees them; the oldest first.
    fn open(&self) -> Vec<Open>;

    /// Whether it offers reports (level 1).
    fn offers(&self) -> bool;
}

/// What happens to a VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The user asks for a device to be removed (`device_del`).
    DeviceDel(Device),
    /// The guest calls `set-indicator`.
    SetIndicator(Indicator, DrcIndex, u32),
    /// The guest calls `ibm,configure-connector` until it is done.
    Configure(DrcIndex),
    /// The machine is reset, or the guest negotiates (CAS).
    Reset,
    /// The state is saved and restored by the same kind of VMM.
    Migrate,
    /// The state is saved and restored by a VMM that knows level 0 only.
    MigrateToLevel0,
    /// The state is saved by a VMM that knows level 0 only and restored by one that knows both.
    MigrateToLevel1,
}

/// What a VMM does in answer to one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What RTAS returns; `None` if the input was no RTAS call.
    pub status: Option<Status>,
    /// What `device_del` returns; `None` if the input was no `device_del`.
    pub asked: Option<Result<RequestId, &'static str>>,
    /// What is told to the guest and to the user, in this order.
    pub events: Vec<Event>,
    /// The VMM died, at this place.
    pub abort: Option<&'static str>,
}

/// The name of a request between the VMM and its user: 0 for the first `device_del`, and so on.
pub type RequestId = u8;

/// Something a VMM tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// To the guest: a hot plug event that asks for a removal.
    Hotplug(Device, Token),
    /// To the user: a request has ended.
    Outcome(Option<RequestId>, Device, Outcome),
    /// To the user: the device is gone.
    Deleted(Device),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The guest gave the device back.
    Released,
    /// The guest refused.
    Refused {
        /// The connector that refused.
        connector: Connector,
        /// Why.
        reason: Reason,
        /// The guest's error for it.
        errno: Errno,
        /// How the VMM knows.
        source: Source,
    },
    /// The machine was reset before the guest answered; the device went with the reset.
    Reset,
}

/// How a VMM knows that a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The guest's report named the request by its token.
    Token,
    /// The guest's report named the device, and this was its oldest request.
    Order,
    /// The guest did something that a guest that refuses does.
    Inferred,
}

/// A request without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which.
    pub request: RequestId,
    /// What is to be removed.
    pub device: Device,
    /// Whether the guest has promised to answer.
    pub promised: bool,
}

impl Effects {
    /// The effects of an RTAS call that does nothing but return.
    pub fn status(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// The same with one more event.
    pub fn and(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |index: DrcIndex| Connector::of(index).map_or(index.to_string(), |c| format!("{index} ({c})"));
        match *self {
            Self::DeviceDel(device) => write!(f, "device_del {device}"),
            Self::SetIndicator(Indicator::ISOLATION_STATE, index, 0) => write!(f, "isolate {}", name(index)),
            Self::SetIndicator(Indicator::ISOLATION_STATE, index, 1) => write!(f, "unisolate {}", name(index)),
            Self::SetIndicator(Indicator::ALLOCATION_STATE, index, 0) => write!(f, "set unusable {}", name(index)),
            Self::SetIndicator(crate::machine::UNPLUG_STATUS, DrcIndex(0), word) => write!(f, "report {}", Word(word)),
            Self::SetIndicator(crate::machine::UNPLUG_STATUS, index, word) => {
                write!(f, "report {} on {}", Word(word), name(index))
            }
            Self::SetIndicator(indicator, index, value) => {
                write!(f, "set-indicator {} {} {value}", indicator.0, name(index))
            }
            Self::Configure(index) => write!(f, "configure-connector {}", name(index)),
            Self::Reset => f.write_str("reset"),
            Self::Migrate => f.write_str("save and restore"),
            Self::MigrateToLevel0 => f.write_str("save, restore without reports"),
            Self::MigrateToLevel1 => f.write_str("save, restore with reports"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Hotplug(device, Token::NONE) => write!(f, "hot plug event: remove {device}"),
            Self::Hotplug(device, token) => write!(f, "hot plug event: remove {device}, token {token}"),
            Self::Outcome(None, device, outcome) => write!(f, "the user is told of {device}: {outcome}"),
            Self::Outcome(Some(id), _, outcome) => write!(f, "the user is told of request {}: {outcome}", id + 1),
            Self::Deleted(device) => write!(f, "the user is told: {device} is deleted"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Released => f.write_str("released"),
            Self::Reset => f.write_str("closed by reset"),
            Self::Refused { connector, source: Source::Inferred, .. } => {
                write!(f, "refused by {connector} (inferred)")
            }
            Self::Refused { connector, reason, source, .. } => {
                let by = if source == Source::Token { "token" } else { "order" };
                write!(f, "refused by {connector}, {reason} (reported, by {by})")
            }
        }
    }
}
