// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests of the user: `device_del`, and its withdrawal.

use super::{Request, Tracker};
use crate::{
    event::{Ask, Cause, Deletion, Device, End, Event, Events, RequestId, Requested},
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
        Ok(self.make_request(first, events))
    }

    /// Requests the removal of devices that leave together: the functions of a PCI slot, function 0 last. A call that
    /// fails changes nothing: it makes requests for all devices or for none.
    ///
    /// The last device gets a new request. Every other device gets one if none is open for it. Withheld requests of the
    /// devices are withheld no longer. Returns the hot plug events in the order of the devices, one for each device,
    /// also for one that was asked for before.
    pub fn request_together(
        &mut self,
        devices: &[DrcIndex],
        events: &mut impl Events,
    ) -> Result<Vec<Requested>, RequestError> {
        let Some((last, others)) = devices.split_last() else { return Ok(Vec::new()) };
        let mut named = devices.to_vec();
        named.sort_unstable();
        if let Some([twice, _]) = named.array_windows().find(|[one, next]| one == next) {
            return Err(RequestError::NamedTwice(*twice));
        }
        let is_new = |first: &DrcIndex| self.topology.device(*first).is_none_or(|plugged| plugged.open == 0);
        let new: Vec<DrcIndex> = others.iter().filter(|first| is_new(first)).chain([last]).copied().collect();
        self.check_room(&new)?;
        let mut requested = Vec::with_capacity(devices.len());
        for first in others {
            let open = self.ledger.requests().iter().find(|request| request.is_of(*first));
            let asked = open.map(|open| Requested::Ask(Ask::new(open.id, open.device, open.token)));
            self.ledger.ask_withheld(*first);
            requested.push(asked.unwrap_or_else(|| self.make_request(*first, events)));
        }
        requested.push(self.make_request(*last, events));
        Ok(requested)
    }

    /// Requests the removal of a device without asking the guest yet: a PCI function other than 0, which leaves with
    /// function 0. The request is withheld until [`Self::request`] or [`Self::request_together`] names its device.
    pub fn withhold(&mut self, first: DrcIndex, events: &mut impl Events) -> Result<Requested, RequestError> {
        self.check_room(&[first])?;
        let Some((device, held)) = self.want(first) else { return Err(RequestError::NoSuchDevice(first)) };
        let id = self.open(device, Token::NONE, true);
        if held == 0 {
            self.release(device, events);
            return Ok(Requested::Released(id));
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

    /// Opens a request for a device that exists, when there is room.
    fn make_request(&mut self, first: DrcIndex, events: &mut impl Events) -> Requested {
        self.ledger.ask_withheld(first);
        let Some((device, held)) = self.want(first) else { return Requested::Released(self.ledger.last().id) };
        let class = Classes::of(device.resource);
        let promised =
            self.armed.contains(class) && self.features.contains(Features::TOKEN) && Classes::IN_KERNEL.contains(class);
        // PUE-V-054: the guest has nothing to give back.
        let token = if promised && held > 0 { self.ledger.next_token() } else { Token::NONE };
        let id = self.open(device, token, false);
        if held == 0 {
            self.release(device, events);
            return Requested::Released(id);
        }
        Requested::Ask(Ask::new(id, device, token))
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
