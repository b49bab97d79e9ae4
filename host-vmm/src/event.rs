// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a VMM is told: what to ask the guest, which device to take away, and how a request ended.

use crate::{
    explanation::Explanation,
    span::Span,
    wire::{
        drc::DrcIndex,
        hotplug::{Action, Capability, HotplugRequest, IdentifierType, Resource},
        reason::Reason,
        report::Errno,
        section::{HotplugSection, TokenSection},
        token::Token,
    },
};
use std::{collections::VecDeque, fmt};
use zerocopy::IntoBytes as _;

/// Where events go. They are told in the order in which a VMM is to act on them.
pub trait Events {
    /// Takes one event.
    fn tell(&mut self, event: Event);
}

/// Nobody listens.
impl Events for () {
    fn tell(&mut self, _: Event) {}
}

impl Events for Vec<Event> {
    fn tell(&mut self, event: Event) {
        self.push(event);
    }
}

impl Events for VecDeque<Event> {
    fn tell(&mut self, event: Event) {
        self.push_back(event);
    }
}

/// What a VMM has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Send the guest a hot plug event.
    Ask(Ask),
    /// Tell the user that a request has ended.
    Ended(Outcome),
    /// Take the device away, and tell the user that it is deleted. The tracker knows it no longer.
    Deleted(Device),
}

/// A device, named by its connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// What kind of resource it is.
    pub resource: Resource,
    /// Its connectors. The first names the device in every call.
    pub connectors: Span,
}

/// The name of a request between the VMM and its user: 1 for the first `device_del`, and so on, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A hot plug event to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The request that it is for.
    pub request: RequestId,
    /// What the guest is to give back.
    pub device: Device,
    /// The token to send with it; [`Token::NONE`] says to send none (PUE-V-021, PUE-V-022).
    pub token: Token,
}

/// How a request ended. Each ends once (PUE-V-020, PUE-V-100).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which request.
    pub request: RequestId,
    /// What was asked for.
    pub device: Device,
    /// How it ended.
    pub end: End,
}

/// How a request can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest gave the device back; it is deleted.
    Released,
    /// The guest refused; the device stays.
    Refused(Refusal),
    /// The machine was reset before the guest answered; the device goes with the reset.
    Reset,
}

/// The guest's no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest refused at connector {connector}: {}", Why(*.reason, *.errno, *.evidence))]
pub struct Refusal {
    /// The connector that refused.
    pub connector: DrcIndex,
    /// Why; [`Reason::UNATTRIBUTED`] if that is not known.
    pub reason: Reason,
    /// The guest's error for it, positive; 0 for none.
    pub errno: Errno,
    /// How the VMM knows.
    pub evidence: Evidence,
}

/// How a VMM knows that a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The guest's report named this request by its token.
    Token,
    /// The guest's report named the device, and this was the oldest request for it.
    Order,
    /// The guest did what a guest that refuses does (level 0); which request it meant is a guess.
    Inferred,
}

impl Ask {
    /// LoPAR's hot plug section that asks for it, 20 bytes or with a token 24: what follows the headers of a platform event
    /// log of type 229. Memory is named by indexed count, also if it is a single LMB, because that is how QEMU names it: Linux
    /// removes what was named by an index in another way. Other devices of one connector are named by its index.
    pub fn section(&self) -> impl AsRef<[u8]> + use<> {
        let connectors = self.device.connectors;
        let (identifier_type, identifier) = match connectors.count() {
            1 if self.device.resource != Resource::MEMORY => (IdentifierType::DRC_INDEX, [connectors.first().0, 0]),
            count => (IdentifierType::DRC_INDEXED_COUNT, [count, connectors.first().0]),
        };
        let request = HotplugRequest {
            resource: self.device.resource,
            action: Action::REMOVE,
            identifier_type,
            capability: Capability::empty(),
            identifier: identifier.map(Into::into),
        };
        if self.token.is_some() {
            Section::WithToken(TokenSection::new(request, self.token))
        } else {
            Section::Plain(HotplugSection::new(request))
        }
    }
}

enum Section {
    Plain(HotplugSection),
    WithToken(TokenSection),
}

impl AsRef<[u8]> for Section {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Plain(section) => section.as_bytes(),
            Self::WithToken(section) => section.as_bytes(),
        }
    }
}

impl Evidence {
    /// Its name in QMP and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "reported-by-token",
            Self::Order => "reported-in-order",
            Self::Inferred => "inferred",
        }
    }
}

impl Refusal {
    /// What the reason means and what a person can do about it, in sentences (`spec/reasons.toml`); `None` for a reason
    /// that had no meaning when this was written.
    pub fn explanation(&self) -> Option<Explanation> {
        Explanation::of(self.reason)
    }
}

impl RequestId {
    /// The name of the request after this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource, self.connectors)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} to remove {}: ", self.request, self.device)?;
        match self.end {
            End::Released => f.write_str("released, the device is deleted"),
            End::Refused(refusal) => match refusal.explanation() {
                Some(Explanation { meaning, advice }) => write!(f, "{refusal}. {meaning} {advice}"),
                None => write!(f, "{refusal}"),
            },
            End::Reset => f.write_str("closed by a reset, the device is deleted"),
        }
    }
}

/// The part of a refusal that says why, as short as it can be said.
struct Why(Reason, Errno, Evidence);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reason, errno, evidence) = *self;
        match (reason, errno) {
            _ if evidence == Evidence::Inferred => f.write_str("no reason given (inferred)"),
            (Reason::EXTENDED, Errno(code)) => write!(f, "{reason} {code}"),
            (reason, Errno(0)) => write!(f, "{reason}"),
            (reason, Errno(errno)) => write!(f, "{reason} (errno {errno})"),
        }
    }
}
