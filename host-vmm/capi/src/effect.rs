// SPDX-License-Identifier: MIT OR Apache-2.0

//! Effects: what there is to do for the VMM.

use crate::pointer::Integers;
use papr_unplug::{
    Span,
    event::{Cause, Deletion, Device, End, Event, Events, Evidence, Outcome, Refusal, RequestId},
    wire::{drc::DrcIndex, hotplug::Resource, reason::Reason, report::Errno},
};
use std::collections::VecDeque;

/// Kind of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugEffectKind {
    /// A request has ended: tell the user.
    Outcome = 1,
    /// A device has to be deleted: delete it and tell the user. This library has forgotten it, and its connectors are
    /// empty.
    Delete = 2,
}

/// End of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugEnd {
    /// The guest gave the device back, or what the device was behind; it is deleted.
    Released = 1,
    /// The guest refused; the device stays.
    Refused = 2,
    /// The machine was reset before the guest answered; the device is deleted.
    Reset = 3,
    /// The guest negotiated (ibm,client-architecture-support) before it answered; the device is deleted.
    Cas = 4,
    /// The VMM took the device away without the guest: papr_unplug_detach().
    Removed = 5,
    /// The user withdrew the request; the device stays unless the guest gives it back later.
    Withdrawn = 6,
    /// A saved state was loaded in which the request is not open; the device stays.
    Load = 7,
}

/// Cause of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugCause {
    /// The guest gave the device back.
    Guest = 1,
    /// The machine was reset.
    Reset = 2,
    /// The guest negotiated (ibm,client-architecture-support).
    Cas = 3,
}

/// Evidence that a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugEvidence {
    /// The guest's report named this request by its token.
    Token = 1,
    /// The guest's report named the device, and this was the oldest request for it.
    Order = 2,
    /// The guest sent a hint; which request it meant is a guess.
    Inferred = 3,
}

/// Something for the VMM to do, or an outcome of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugEffect {
    /// A PaprUnplugEffectKind.
    pub kind: u32,
    /// Resource type of the device, a PaprUnplugResource.
    pub resource: u32,
    /// First connector of the device.
    pub first: u32,
    /// Number of connectors of the device.
    pub count: u32,
    /// Outcome: id of the request.
    pub request: u64,
    /// Outcome: a PaprUnplugEnd.
    pub end: u32,
    /// Refused: the connector that refused.
    pub connector: u32,
    /// Refused: the reason, see papr_unplug_reason_name(). Guests may have reasons that this library does not know.
    pub reason: u32,
    /// Refused: the guest's positive errno, with Linux's numbers for powerpc; 0 for none.
    pub guest_errno: u32,
    /// Refused: a PaprUnplugEvidence.
    pub evidence: u32,
    /// Delete: a PaprUnplugCause.
    pub by: u32,
    /// Delete: number of requests that end with this deletion. Their outcomes are the effects directly before it. 0 if
    /// the guest gave the device back after its last request had ended.
    pub requests: u32,
    /// Reserved, 0.
    pub reserved: u32,
}

// SAFETY: it is repr(C) and has integers only.
unsafe impl Integers for PaprUnplugEffect {}

const _: () = assert!(size_of::<PaprUnplugEffect>() == 56);

/// Effects that the VMM has not taken, in the order in which it has to act on them.
pub(crate) struct Effects(VecDeque<PaprUnplugEffect>);

impl Events for Effects {
    fn tell(&mut self, event: Event) {
        match event {
            Event::Ended(outcome) => self.0.push_back(outcome.into()),
            Event::Deleted(deletion) => self.0.push_back(deletion.into()),
            _ => {}
        }
    }
}

impl Effects {
    /// Number of effects that need no allocation. A call of the guest has rarely more than two.
    const ROOM: usize = 16;

    pub(crate) fn new() -> Self {
        Self(VecDeque::with_capacity(Self::ROOM))
    }

    /// Takes the first effect.
    pub(crate) fn next(&mut self) -> Option<PaprUnplugEffect> {
        self.0.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops the deletions of devices that had one of these connectors.
    pub(crate) fn keep_devices_at(&mut self, connectors: Span) {
        self.0.retain(|effect| {
            let gone = Span::new(DrcIndex(effect.first), effect.count);
            let is_there =
                gone.is_some_and(|gone| gone.contains(connectors.first()) || connectors.contains(gone.first()));
            effect.kind != PaprUnplugEffectKind::Delete as u32 || !is_there
        });
    }
}

impl From<Device> for PaprUnplugEffect {
    fn from(device: Device) -> Self {
        Self {
            resource: device.resource.0.into(),
            first: device.connectors.first().0,
            count: device.connectors.count(),
            ..Self::default()
        }
    }
}

impl From<Deletion> for PaprUnplugEffect {
    fn from(deletion: Deletion) -> Self {
        let by = match deletion.by {
            Cause::Reset => PaprUnplugCause::Reset,
            Cause::Cas => PaprUnplugCause::Cas,
            _ => PaprUnplugCause::Guest,
        };
        let (kind, requests) = (PaprUnplugEffectKind::Delete as u32, deletion.requests);
        Self { kind, by: by as u32, requests, ..deletion.device.into() }
    }
}

impl From<Outcome> for PaprUnplugEffect {
    fn from(outcome: Outcome) -> Self {
        let (kind, request) = (PaprUnplugEffectKind::Outcome as u32, outcome.request.0);
        let ended = |end: PaprUnplugEnd| Self { kind, request, end: end as u32, ..outcome.device.into() };
        match outcome.end {
            End::Released => ended(PaprUnplugEnd::Released),
            End::Reset => ended(PaprUnplugEnd::Reset),
            End::Cas => ended(PaprUnplugEnd::Cas),
            End::Removed => ended(PaprUnplugEnd::Removed),
            End::Withdrawn => ended(PaprUnplugEnd::Withdrawn),
            End::Refused(refusal) => Self {
                connector: refusal.connector.0,
                reason: refusal.reason.0.into(),
                guest_errno: refusal.errno.0.into(),
                evidence: match refusal.evidence {
                    Evidence::Token => PaprUnplugEvidence::Token,
                    Evidence::Order => PaprUnplugEvidence::Order,
                    _ => PaprUnplugEvidence::Inferred,
                } as u32,
                ..ended(PaprUnplugEnd::Refused)
            },
            _ => ended(PaprUnplugEnd::Load),
        }
    }
}

impl PaprUnplugEffect {
    /// Returns the text of an effect; `None` for one that no machine tells.
    pub(crate) fn explained(&self) -> Option<String> {
        let resource = Resource(u8::try_from(self.resource).ok()?);
        let connectors = Span::new(DrcIndex(self.first), self.count)?;
        let device = Device { resource, connectors };
        if self.kind == PaprUnplugEffectKind::Delete as u32 {
            return Some(Deletion::new(device, self.cause()?, self.requests).to_string());
        }
        let outcome = Outcome::new(RequestId(self.request), device, self.ended()?);
        (self.kind == PaprUnplugEffectKind::Outcome as u32).then(|| outcome.to_string())
    }

    fn cause(&self) -> Option<Cause> {
        Some(match self.by {
            by if by == PaprUnplugCause::Guest as u32 => Cause::Guest,
            by if by == PaprUnplugCause::Reset as u32 => Cause::Reset,
            by if by == PaprUnplugCause::Cas as u32 => Cause::Cas,
            _ => return None,
        })
    }

    fn ended(&self) -> Option<End> {
        Some(match self.end {
            end if end == PaprUnplugEnd::Released as u32 => End::Released,
            end if end == PaprUnplugEnd::Refused as u32 => End::Refused(self.refusal()?),
            end if end == PaprUnplugEnd::Reset as u32 => End::Reset,
            end if end == PaprUnplugEnd::Cas as u32 => End::Cas,
            end if end == PaprUnplugEnd::Removed as u32 => End::Removed,
            end if end == PaprUnplugEnd::Withdrawn as u32 => End::Withdrawn,
            end if end == PaprUnplugEnd::Load as u32 => End::Load,
            _ => return None,
        })
    }

    fn refusal(&self) -> Option<Refusal> {
        let evidence = match self.evidence {
            evidence if evidence == PaprUnplugEvidence::Token as u32 => Evidence::Token,
            evidence if evidence == PaprUnplugEvidence::Order as u32 => Evidence::Order,
            evidence if evidence == PaprUnplugEvidence::Inferred as u32 => Evidence::Inferred,
            _ => return None,
        };
        let reason = Reason(u8::try_from(self.reason).ok()?);
        let errno = Errno(u8::try_from(self.guest_errno).ok()?);
        Some(Refusal::new(DrcIndex(self.connector), reason, errno, evidence))
    }
}
