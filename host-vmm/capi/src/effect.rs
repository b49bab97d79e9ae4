// SPDX-License-Identifier: MIT OR Apache-2.0

//! What there is to do for the VMM.

use crate::{
    machine::{PaprUnplug, enter, shielded},
    pointer,
};
use papr_unplug::{
    Span,
    event::{Deletion, Device, End, Event, Events, Evidence, Outcome, Refusal, RequestId},
    wire::{drc::DrcIndex, hotplug::Resource, reason::Reason, report::Errno},
};
use std::{collections::VecDeque, ffi::c_char};

/// What an effect asks the VMM to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugEffectKind {
    /// Tell the user that a request has ended.
    Outcome = 1,
    /// Take the device away, and tell the user that it is deleted. This library knows it no longer.
    Delete = 2,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugEnd {
    /// The guest gave the device back; it is deleted.
    Released = 1,
    /// The guest refused; the device stays.
    Refused = 2,
    /// The machine was reset before the guest answered; the device goes with the reset.
    Reset = 3,
}

/// How the VMM knows that a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugEvidence {
    /// The guest's report named this request by its token.
    Token = 1,
    /// The guest's report named the device, and this was the oldest request for it.
    Order = 2,
    /// The guest did what a guest that refuses does; which request it meant is a guess.
    Inferred = 3,
}

/// Something for the VMM to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugEffect {
    /// A PaprUnplugEffectKind.
    pub kind: u32,
    /// What the device is: a PaprUnplugResource.
    pub resource: u32,
    /// The first connector of the device.
    pub first: u32,
    /// How many connectors the device has.
    pub count: u32,
    /// Outcome: the request's name.
    pub request: u64,
    /// Outcome: how it ended, a PaprUnplugEnd.
    pub end: u32,
    /// Refused: the connector that refused.
    pub connector: u32,
    /// Refused: why; see papr_unplug_reason_name(). Open ended: guests may have reasons that this library does not know.
    pub reason: u32,
    /// Refused: the guest's error for it, positive, with Linux's numbers for powerpc; 0 for none.
    pub guest_errno: u32,
    /// Refused: how the VMM knows, a PaprUnplugEvidence.
    pub evidence: u32,
}

const _: () = assert!(size_of::<PaprUnplugEffect>() == 48);

/// Effects that the VMM has not taken yet, in the order in which it is to act on them.
pub(crate) struct Effects(VecDeque<PaprUnplugEffect>);

/// Room for so many is made once. A call of the guest's has rarely more than two.
const ROOM: usize = 16;

impl Events for Effects {
    fn tell(&mut self, event: Event) {
        match event {
            Event::Ended(outcome) => self.0.push_back(outcome.into()),
            Event::Deleted(Deletion { device, .. }) => self.0.push_back(device.into()),
            _ => {}
        }
    }
}

impl Effects {
    pub(crate) fn new() -> Self {
        Self(VecDeque::with_capacity(ROOM))
    }

    /// Forgets to delete devices that had one of these connectors.
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
            kind: PaprUnplugEffectKind::Delete as u32,
            resource: device.resource.0.into(),
            first: device.connectors.first().0,
            count: device.connectors.count(),
            ..Self::default()
        }
    }
}

impl From<Outcome> for PaprUnplugEffect {
    fn from(outcome: Outcome) -> Self {
        let (kind, request) = (PaprUnplugEffectKind::Outcome as u32, outcome.request.0);
        let effect = Self { kind, request, ..outcome.device.into() };
        match outcome.end {
            End::Released | End::Removed => Self { end: PaprUnplugEnd::Released as u32, ..effect },
            End::Refused(refusal) => Self {
                end: PaprUnplugEnd::Refused as u32,
                connector: refusal.connector.0,
                reason: refusal.reason.0.into(),
                guest_errno: refusal.errno.0.into(),
                evidence: match refusal.evidence {
                    Evidence::Token => PaprUnplugEvidence::Token,
                    Evidence::Order => PaprUnplugEvidence::Order,
                    _ => PaprUnplugEvidence::Inferred,
                } as u32,
                ..effect
            },
            _ => Self { end: PaprUnplugEnd::Reset as u32, ..effect },
        }
    }
}

impl PaprUnplugEffect {
    /// In words; `None` if no machine has told this.
    fn explained(&self) -> Option<String> {
        let device = Device {
            resource: Resource(u8::try_from(self.resource).ok()?),
            connectors: Span::new(DrcIndex(self.first), self.count)?,
        };
        if self.kind == PaprUnplugEffectKind::Delete as u32 {
            return Some(format!("{device} is deleted"));
        }
        let end = match self.end {
            end if end == PaprUnplugEnd::Released as u32 => End::Released,
            end if end == PaprUnplugEnd::Reset as u32 => End::Reset,
            end if end == PaprUnplugEnd::Refused as u32 => End::Refused(self.refusal()?),
            _ => return None,
        };
        let outcome = Outcome::new(RequestId(self.request), device, end);
        (self.kind == PaprUnplugEffectKind::Outcome as u32).then(|| outcome.to_string())
    }

    fn refusal(&self) -> Option<Refusal> {
        Some(Refusal::new(
            DrcIndex(self.connector),
            Reason(u8::try_from(self.reason).ok()?),
            Errno(u8::try_from(self.guest_errno).ok()?),
            match self.evidence {
                evidence if evidence == PaprUnplugEvidence::Token as u32 => Evidence::Token,
                evidence if evidence == PaprUnplugEvidence::Order as u32 => Evidence::Order,
                evidence if evidence == PaprUnplugEvidence::Inferred as u32 => Evidence::Inferred,
                _ => return None,
            },
        ))
    }
}

/// Takes the next thing to do, in the order in which it is to be done: outcomes of a device before its deletion.
///
/// Any call that is not a question may make some, so a VMM calls this after each until it returns false. While it does what it
/// is told it may call any other function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_next_effect(machine: *mut PaprUnplug, effect: *mut PaprUnplugEffect) -> bool {
    // SAFETY: the contract at the top of the header.
    let next = unsafe { enter(machine, |machine| machine.effects.0.pop_front()) };
    let Ok(Some(next)) = next else { return false };
    // SAFETY: the contract at the top of the header.
    unsafe { pointer::tell(effect, next) };
    true
}

/// Says an effect in words that a person can act on, such as
/// "request 7 to remove cpu 0x10000001: the guest refused at connector 0x10000001: last-cpu (errno 16). It is the last ...".
///
/// Like snprintf(): writes no more than `room` bytes with the NUL at their end, and returns the length of the whole text, in
/// UTF-8 and without the NUL. Returns 0 for an effect that makes no sense.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_explain(effect: *const PaprUnplugEffect, text: *mut c_char, room: usize) -> usize {
    // SAFETY: the contract at the top of the header.
    let effect = unsafe { effect.as_ref() };
    let words = shielded(None, || effect?.explained()).unwrap_or_default();
    if let Some(most) = room.checked_sub(1) {
        let end = words.floor_char_boundary(most);
        let written: Vec<u8> = words.bytes().take(end).chain([0]).collect();
        // SAFETY: the contract at the top of the header.
        unsafe { pointer::fill(text.cast(), room, &written) };
    }
    words.len()
}
