// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interface of a VMM: inputs and effects. An implementation plugs into the model by it.

use crate::machine::{ConnectorName, Device, UNPLUG_STATUS};
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
    /// True if outcomes name their request.
    const NAMES_REQUESTS: bool = true;

    /// Takes one input.
    fn step(&mut self, input: Input) -> Effects;

    /// Returns whether the device is still plugged.
    fn present(&self, device: Device) -> bool;

    /// Returns whether the guest can use what is behind the connector (dr-entity-sense says PRESENT).
    fn usable(&self, connector: DrcIndex) -> bool;

    /// Returns the requests without an outcome, the oldest first.
    fn open(&self) -> Vec<Open>;

    /// Returns whether it offers reports (level 1).
    fn offers(&self) -> bool;
}

/// An input of a VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The user asks for a device to be removed (`device_del`).
    DeviceDel(Device),
    /// The user asks for a device that the guest can be asked for only together with another one.
    Withhold(Device),
    /// The user asks for the second of two devices that go together.
    Together([Device; 2]),
    /// The user withdraws a request.
    Withdraw(RequestId),
    /// The guest calls `set-indicator`.
    SetIndicator(Indicator, DrcIndex, u32),
    /// The guest calls `ibm,configure-connector` until it is done.
    Configure(DrcIndex),
    /// The machine is reset.
    Reset,
    /// The guest negotiates (`ibm,client-architecture-support`).
    Cas,
    /// The state is saved and restored by the same kind of VMM.
    Migrate,
    /// The state is saved and restored by a VMM that knows level 0 only.
    MigrateToLevel0,
    /// The state is saved by a VMM that knows level 0 only and restored by one that knows both.
    MigrateToLevel1,
}

/// The effects of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The status that RTAS returns; `None` if the input was no RTAS call.
    pub status: Option<Status>,
    /// The result of `device_del` or of a withdrawal, with the request; `None` if the input was neither.
    pub asked: Option<Result<RequestId, &'static str>>,
    /// Events to the guest and to the user, in order.
    pub events: Vec<Event>,
    /// The place at which the VMM died.
    pub abort: Option<&'static str>,
}

/// The identity of a request: 1 for the first `device_del`, and so on.
pub type RequestId = u64;

/// An event of a VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// To the guest: a hot plug event that asks for a removal.
    Hotplug(RequestId, Device, Token),
    /// To the user: a request has ended. `None` if the VMM does not say which.
    Outcome(Option<RequestId>, Device, Outcome),
    /// To the user: the device is gone, and with it ended this number of requests.
    Deleted(Device, Taker, u32),
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The guest gave the device back.
    Released,
    /// The guest refused.
    Refused {
        /// The connector that refused.
        connector: DrcIndex,
        /// The reason.
        reason: Reason,
        /// The guest's error number.
        errno: Errno,
        /// The evidence.
        source: Source,
    },
    /// The machine was reset before the guest answered; the device went with the reset.
    Reset,
    /// The guest negotiated before it answered; the device went with that.
    Cas,
    /// The VMM took the device away itself.
    Removed,
    /// The user withdrew the request.
    Withdrawn,
    /// The VMM loaded another state, in which the request is not open.
    Load,
}

/// The evidence of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The guest's report named the request by its token.
    Token,
    /// The guest's report named the device, and this was its oldest request.
    Order,
    /// The guest did something that a guest that refuses does.
    Inferred,
}

/// The cause of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taker {
    /// The guest gave it back.
    Guest,
    /// A reset.
    Reset,
    /// The guest's negotiation (CAS).
    Cas,
}

/// A request without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The identity.
    pub request: RequestId,
    /// The device to remove.
    pub device: Device,
    /// True if the guest has promised to answer.
    pub promised: bool,
    /// True if the guest was not asked yet.
    pub withheld: bool,
}

impl Effects {
    /// Returns the effects of an RTAS call that does nothing but return.
    pub fn status(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Adds an event.
    pub fn and(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceDel(device) => write!(f, "device_del {device}"),
            Self::Withhold(device) => write!(f, "device_del {device}, withheld"),
            Self::Together([one, other]) => write!(f, "device_del {other}, with {one}"),
            Self::Withdraw(request) => write!(f, "withdraw request {request}"),
            Self::SetIndicator(Indicator::ISOLATION_STATE, index, 0) => write!(f, "isolate {}", ConnectorName(index)),
            Self::SetIndicator(Indicator::ISOLATION_STATE, index, 1) => write!(f, "unisolate {}", ConnectorName(index)),
            Self::SetIndicator(Indicator::ALLOCATION_STATE, index, 0) => {
                write!(f, "set unusable {}", ConnectorName(index))
            }
            Self::SetIndicator(UNPLUG_STATUS, DrcIndex(0), word) => write!(f, "report {}", Word(word)),
            Self::SetIndicator(UNPLUG_STATUS, index, word) => {
                write!(f, "report {} on {}", Word(word), ConnectorName(index))
            }
            Self::SetIndicator(indicator, index, value) => {
                write!(f, "set-indicator {} {} {value}", indicator.0, ConnectorName(index))
            }
            Self::Configure(index) => write!(f, "configure-connector {}", ConnectorName(index)),
            Self::Reset => f.write_str("reset"),
            Self::Cas => f.write_str("CAS"),
            Self::Migrate => f.write_str("save and restore"),
            Self::MigrateToLevel0 => f.write_str("save, restore without reports"),
            Self::MigrateToLevel1 => f.write_str("save, restore with reports"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Hotplug(_, device, Token::NONE) => write!(f, "hot plug event: remove {device}"),
            Self::Hotplug(_, device, token) => write!(f, "hot plug event: remove {device}, token {token}"),
            Self::Outcome(None, device, outcome) => write!(f, "the user is told of {device}: {outcome}"),
            Self::Outcome(Some(id), _, outcome) => write!(f, "the user is told of request {id}: {outcome}"),
            Self::Deleted(device, taker, _) => write!(f, "the user is told: {device} is deleted ({taker:?})"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Released => f.write_str("released"),
            Self::Reset => f.write_str("closed by reset"),
            Self::Cas => f.write_str("closed by CAS"),
            Self::Removed => f.write_str("closed, the VMM took the device away"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::Load => f.write_str("closed by load"),
            Self::Refused { connector, source: Source::Inferred, .. } => {
                write!(f, "refused by {} (inferred)", ConnectorName(connector))
            }
            Self::Refused { connector, reason, source, .. } => {
                let by = if source == Source::Token { "token" } else { "order" };
                write!(f, "refused by {}, {reason} (reported, by {by})", ConnectorName(connector))
            }
        }
    }
}
