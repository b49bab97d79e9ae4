// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests of the user: `device_del`, and its withdrawal.

use super::{Request, Tracker};
use crate::{
    event::{Ask, Cause, Deletion, Device, End, Event, Events, Outcome, RequestId, Requested},
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        token::Token,
    },
};
use alloc::vec::Vec;

/// Error of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No device has this first connector.
    #[error("there is no device at connector {0}")]
    NoSuchDevice(DrcIndex),
    /// A device is named twice in one call.
    #[error("the device at connector {0} is named twice")]
    NamedTwice(DrcIndex),
    /// No open request has this id.
    #[error("request {0} is not open")]
    NoSuchRequest(RequestId),
    /// The bound of open requests is reached.
    #[error("{0} removal requests are open already; withdraw one of them, or wait until the guest has answered")]
    TooMany(usize),
    /// The bound of open requests for one device is reached.
    #[error(
        "{1} removal requests for the device at connector {0} are open already; withdraw one of them, or wait until the \
         guest has answered"
    )]
    TooManyOfDevice(DrcIndex, usize),
}

impl Tracker {
    /// Requests the removal of a device (`device_del`). Every call that succeeds makes a request of its own, also while
    /// another one for the same device is open. A call that fails changes nothing.
    pub fn request(&mut self, first: DrcIndex, events: &mut impl Events) -> Result<Requested, RequestError> {
        self.check_room(&[first])?;
        self.make_request(first, events).ok_or(RequestError::NoSuchDevice(first))
    }

    /// Requests the removal of devices that leave together: the functions of a PCI slot, function 0 last. A call that
    /// fails changes nothing: it makes requests for all devices or for none.
    ///
    /// The last device gets a new request. Every other device gets one if none is open for it. Requests that were
    /// withheld are withheld no longer: each has a hot plug event of its own, with a token if the guest has armed for
    /// it. A device that the guest was asked for before has another hot plug event unless the guest has promised to
    /// answer (PUE-V-056, PUE-V-058).
    ///
    /// Returns the hot plug events in the order of the devices; the last is that of the last device.
    pub fn request_together(
        &mut self,
        devices: &[DrcIndex],
        events: &mut impl Events,
    ) -> Result<Vec<Requested>, RequestError> {
        let Some((last, others)) = devices.split_last() else { return Ok(Vec::new()) };
        let mut named = devices.to_vec();
        named.sort_unstable();
        if let Some((twice, _)) = named.iter().zip(named.iter().skip(1)).find(|(one, next)| one == next) {
            return Err(RequestError::NamedTwice(*twice));
        }
        let is_new =
            |tracker: &Self, first: &DrcIndex| tracker.topology.device(*first).is_none_or(|plugged| plugged.open == 0);
        let new: Vec<DrcIndex> = others.iter().filter(|first| is_new(self, first)).chain([last]).copied().collect();
        self.check_room(&new)?;
        let mut requested = Vec::with_capacity(devices.len());
        for first in others {
            let unasked = self.ledger.unasked(*first);
            requested.extend(unasked.iter().filter_map(|id| self.announce(*id)));
            if is_new(self, first) {
                requested.extend(self.make_request(*first, events));
            }
        }
        requested.extend(self.make_request(*last, events));
        Ok(requested)
    }

    /// Requests the removal of a device without asking the guest yet: a PCI function other than 0, which leaves with
    /// function 0. The request is withheld until [`Self::request`] or [`Self::request_together`] names its device.
    pub fn withhold(&mut self, first: DrcIndex, events: &mut impl Events) -> Result<Requested, RequestError> {
        self.check_room(&[first])?;
        let Some((device, held)) = self.want(first) else { return Err(RequestError::NoSuchDevice(first)) };
        let id = self.open(device, Token::NONE, true);
        if held == 0 {
            return Ok(self.release_at_once(id, device, events));
        }
        Ok(Requested::Withheld(id))
    }

    /// Withdraws an open request: it ends as [`End::Withdrawn`]. Its hot plug event is void if the guest has not
    /// fetched it. If the guest has, it may still give the device back, and then the device is deleted (PUE-V-061).
    pub fn withdraw(&mut self, id: RequestId, events: &mut impl Events) -> Result<(), RequestError> {
        let request = self.ledger.take(|request| request.id == id).ok_or(RequestError::NoSuchRequest(id))?;
        self.end(&request, End::Withdrawn, events);
        Ok(())
    }

    /// Checks that a request can be made for every one of these devices (PUE-V-052).
    fn check_room(&self, devices: &[DrcIndex]) -> Result<(), RequestError> {
        for (at, first) in devices.iter().enumerate() {
            let plugged = self.topology.device(*first).ok_or(RequestError::NoSuchDevice(*first))?;
            let before = devices.iter().take(at).filter(|before| *before == first).count();
            let open = usize::try_from(plugged.open).unwrap_or(usize::MAX).saturating_add(before);
            if open >= self.config.max_open_per_device {
                return Err(RequestError::TooManyOfDevice(*first, self.config.max_open_per_device));
            }
        }
        if self.requests().len().saturating_add(devices.len()) > self.config.max_open {
            return Err(RequestError::TooMany(self.config.max_open));
        }
        Ok(())
    }

    /// Marks the removal of a device as wanted. Returns the device, and the number of its connectors that the guest
    /// holds.
    fn want(&mut self, first: DrcIndex) -> Option<(Device, u32)> {
        let plugged = self.topology.device_mut(first)?;
        plugged.wanted = true;
        Some((plugged.device, plugged.held))
    }

    /// Opens a request for a device, when there is room; `None` if there is no such device.
    fn make_request(&mut self, first: DrcIndex, events: &mut impl Events) -> Option<Requested> {
        self.ledger.ask_withheld(first);
        let (device, held) = self.want(first)?;
        // PUE-V-054: the guest has nothing to give back.
        let token = if held > 0 { self.new_token(device) } else { Token::NONE };
        let id = self.open(device, token, false);
        if held == 0 {
            return Some(self.release_at_once(id, device, events));
        }
        Some(Requested::Ask(Ask::new(id, device, token)))
    }

    /// Returns the hot plug event of an open request that was made earlier, which is promised from then on if the guest
    /// has armed for it (PUE-V-058).
    fn announce(&mut self, id: RequestId) -> Option<Requested> {
        let device = self.ledger.get_mut(id)?.device;
        let token = self.new_token(device);
        let request = self.ledger.get_mut(id)?;
        request.withheld = false;
        if token.is_some() {
            // The guest answers by this token, and not by one of a VMM before.
            (request.token, request.promised, request.imported) = (token, true, false);
        }
        Some(Requested::Ask(Ask::new(id, device, token)))
    }

    /// Returns a token for a request that the guest is asked for now; [`Token::NONE`] unless it has armed with tokens
    /// (PUE-V-021).
    fn new_token(&mut self, device: Device) -> Token {
        let is_armed = self.armed.contains(Classes::of(device.resource)) && self.features.contains(Features::TOKEN);
        if is_armed { self.ledger.next_token() } else { Token::NONE }
    }

    fn release_at_once(&mut self, id: RequestId, device: Device, events: &mut impl Events) -> Requested {
        self.release(device, events);
        Requested::Released(Outcome::new(id, device, End::Released))
    }

    fn open(&mut self, device: Device, token: Token, withheld: bool) -> RequestId {
        let id = self.ledger.next_id();
        let promised = token.is_some();
        self.ledger.open(Request {
            id,
            device,
            token,
            promised,
            started: false,
            withheld,
            imported: false,
            hint: None,
        });
        if let Some(plugged) = self.topology.device_mut(device.connectors.first()) {
            plugged.open = plugged.open.saturating_add(1);
        }
        id
    }

    /// Deletes a device that the guest has given back.
    pub(super) fn release(&mut self, device: Device, events: &mut impl Events) {
        let first = device.connectors.first();
        let requests = self.end_all_of(first, End::Released, events);
        self.topology.unplug(first);
        events.tell(Event::Deleted(Deletion { device, by: Cause::Guest, requests }));
    }
}
