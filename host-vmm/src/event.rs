// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events: how a request ended, and which device to delete; and the hot plug event that asks the guest.

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
use alloc::{collections::VecDeque, vec::Vec};
use core::fmt;
use zerocopy::IntoBytes as _;

/// Receiver of events. Events arrive in the order in which a VMM has to act on them.
pub trait Events {
    /// Takes one event.
    fn tell(&mut self, event: Event);
}

/// Discards the events.
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

/// Something for the VMM to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request has ended: tell the user. Its hot plug event is void if the guest has not fetched it: do not deliver
    /// it (PUE-V-075).
    Ended(Outcome),
    /// A device has to be deleted: delete it and tell the user. The tracker has forgotten the device; its connectors
    /// are empty. Hot plug events that name the device and that the guest has not fetched are void: do not deliver them
    /// (PUE-V-074).
    ///
    /// A VMM does not delete the device in the context of the virtual CPU that made the call, because that CPU may
    /// belong to the device (PUE-V-092).
    Deleted(Deletion),
}

/// A device, named by its connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Type of the resource.
    pub resource: Resource,
    /// Connectors of the device. The first one names the device in every call.
    pub connectors: Span,
}

/// Identity of a request between the VMM and its user: 1 for the first `device_del`, 2 for the next. No number is used
/// twice, also not after a migration or after a snapshot was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Result of a successful request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the hot plug event has to be sent"]
pub enum Requested {
    /// The VMM has to send this hot plug event to the guest.
    Ask(Ask),
    /// The guest had given the device back before: the request has ended as released, and no hot plug event is sent.
    Released(Outcome),
    /// The request is withheld: no hot plug event is sent until [`Tracker::request_together`] names the device.
    ///
    /// [`Tracker::request_together`]: crate::Tracker::request_together
    Withheld(RequestId),
}

/// Hot plug event that asks the guest to give a device back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ask {
    /// The request.
    pub request: RequestId,
    /// The device to give back.
    pub device: Device,
    /// The token to send; [`Token::NONE`] for none (PUE-V-021, PUE-V-022).
    pub token: Token,
}

/// Outcome of a request. Every request ends once (PUE-V-020, PUE-V-100).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The request.
    pub request: RequestId,
    /// The device that was asked for.
    pub device: Device,
    /// End of the request.
    pub end: End,
}

/// End of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The guest gave the device back; the device is deleted.
    Released,
    /// The guest refused; the device stays.
    Refused(Refusal),
    /// The machine was reset before the guest answered; the device is deleted.
    Reset,
    /// The guest negotiated (`ibm,client-architecture-support`) before it answered; the device is deleted.
    Cas,
    /// The VMM took the device away without the guest, see [`Tracker::unplug`](crate::Tracker::unplug).
    Removed,
    /// The user withdrew the request; the device stays unless the guest gives it back later.
    Withdrawn,
    /// A saved state was loaded in which the request is not open; the device stays.
    Load,
}

/// Deletion of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deletion {
    /// The device.
    pub device: Device,
    /// Cause of the deletion.
    pub by: Cause,
    /// Number of requests that end with this deletion. Their outcomes were told directly before it. 0 if the guest gave
    /// the device back after its last request had ended.
    pub requests: u32,
}

/// Cause of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The guest gave the device back.
    Guest,
    /// The machine was reset.
    Reset,
    /// The guest negotiated (`ibm,client-architecture-support`).
    Cas,
}

/// Refusal of a request by the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest refused at connector {connector}: {}", Why(*.reason, *.errno, *.evidence))]
#[non_exhaustive]
pub struct Refusal {
    /// The connector that refused.
    pub connector: DrcIndex,
    /// The reason; [`Reason::UNATTRIBUTED`] if it is unknown.
    pub reason: Reason,
    /// The guest's positive errno; 0 for none.
    pub errno: Errno,
    /// Evidence for the refusal.
    pub evidence: Evidence,
}

/// Evidence that a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The guest's report named this request by its token.
    Token,
    /// The guest's report named the device, and this was the oldest request for it.
    Order,
    /// The guest sent a hint (level 0); which request it meant is a guess.
    Inferred,
}

impl Ask {
    /// Returns the hot plug event of a request.
    pub fn new(request: RequestId, device: Device, token: Token) -> Self {
        Self { request, device, token }
    }

    /// Returns LoPAR's hot plug section, which follows the headers of a platform event log of type 229: 20 bytes, or 24
    /// with a token. Names memory by indexed count, also a single LMB, as QEMU does, because Linux removes memory that
    /// is named by an index differently. Names any other device of one connector by its index.
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

impl Requested {
    /// Returns the id of the request.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Ask(ask) => ask.request,
            Self::Released(outcome) => outcome.request,
            Self::Withheld(id) => *id,
        }
    }
}

impl Outcome {
    /// Returns the outcome of a request.
    pub fn new(request: RequestId, device: Device, end: End) -> Self {
        Self { request, device, end }
    }
}

impl Deletion {
    /// Returns the deletion of a device, with which this number of requests ends.
    pub fn new(device: Device, by: Cause, requests: u32) -> Self {
        Self { device, by, requests }
    }
}

impl Evidence {
    /// Returns its name in QMP and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "reported-by-token",
            Self::Order => "reported-in-order",
            Self::Inferred => "inferred",
        }
    }
}

impl Refusal {
    /// Returns a refusal.
    pub fn new(connector: DrcIndex, reason: Reason, errno: Errno, evidence: Evidence) -> Self {
        Self { connector, reason, errno, evidence }
    }

    /// Returns the meaning of the reason and an advice, in sentences (`spec/reasons.toml`); `None` for a reason that
    /// this crate does not know.
    pub fn explanation(&self) -> Option<Explanation> {
        Explanation::of(self.reason)
    }
}

impl RequestId {
    /// Returns the id after this one.
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

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "the guest gave it back",
            Self::Reset => "the machine was reset",
            Self::Cas => "the guest negotiated its features (CAS)",
        })
    }
}

impl fmt::Display for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is deleted: {}", self.device, self.by)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} to remove {}: ", self.request, self.device)?;
        match self.end {
            End::Released => f.write_str("released, the device is deleted"),
            End::Refused(refusal) => match refusal.explanation() {
                Some(Explanation { meaning, advice, .. }) => write!(f, "{refusal}. {meaning} {advice}"),
                None => write!(f, "{refusal}"),
            },
            End::Reset => f.write_str("closed by a reset, the device is deleted"),
            End::Cas => f.write_str("closed by a CAS negotiation of the guest, the device is deleted"),
            End::Removed => f.write_str("closed, because the VMM removed the device without the guest"),
            End::Withdrawn => f.write_str("withdrawn; the device is deleted should the guest still give it back"),
            End::Load => f.write_str("closed, because another state of the machine was loaded"),
        }
    }
}

/// Reason, errno and evidence in a few words.
struct Why(Reason, Errno, Evidence);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reason, errno, evidence) = *self;
        match (reason, errno) {
            _ if evidence == Evidence::Inferred => f.write_str("no reason given (inferred)"),
            (Reason::EXTENDED, Errno(code)) => write!(f, "{reason} {code}"),
            (reason, Errno(0)) => write!(f, "{reason}"),
            (Reason::AGENT_FAILED, Errno(status)) => write!(f, "{reason} (exit status {status})"),
            (reason, Errno(errno)) => write!(f, "{reason} (errno {errno})"),
        }
    }
}
