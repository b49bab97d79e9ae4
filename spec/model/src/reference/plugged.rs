// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices of the reference VMM: plugging them, and which of their connectors the guest holds.

use super::{Plugged, Reference};
use crate::{
    lopar,
    machine::Device,
    vmm::{Effects, Outcome},
};
use papr_unplug_wire::wire::drc::DrcIndex;

impl Reference {
    /// Plugs a device that the guest has not taken; returns whether its connectors were free.
    pub fn plug(&mut self, device: Device) -> bool {
        self.begin();
        let is_free = !self.is_plugged(device);
        if is_free {
            self.plugged.push(Plugged { device, wanted: false, report_follows: false });
        }
        is_free
    }

    /// Marks a device as one that the guest found when it booted.
    pub fn boot(&mut self, device: Device) {
        self.begin();
        if self.is_plugged(device) {
            self.set_all(device, lopar::configured(device.resource));
        }
    }

    /// Takes a device away that the guest was not asked for; returns whether there was one.
    pub fn unplug(&mut self, device: Device, effects: &mut Effects) -> bool {
        self.begin();
        let was_plugged = self.is_plugged(device);
        let ended = self.take_requests(usize::MAX, |_, request| request.device == device);
        ended.iter().for_each(|request| self.tell(effects, request.ended(Outcome::Removed)));
        self.forget(device);
        was_plugged
    }

    /// Returns whether the device is plugged.
    pub fn is_plugged(&self, device: Device) -> bool {
        self.plugged.iter().any(|plugged| plugged.device == device)
    }

    /// Returns the connectors of a device that are not given back, the lowest first.
    pub fn held(&self, device: Device) -> impl Iterator<Item = DrcIndex> {
        let empty = lopar::empty(device.resource);
        let of = self.connectors.iter().filter(move |connector| device.has(connector.index));
        of.filter(move |connector| connector.state != empty).map(|connector| connector.index)
    }

    pub(super) fn set_wanted(&mut self, device: Device, wanted: bool) {
        self.plugged.iter_mut().filter(|plugged| plugged.device == device).for_each(|one| one.wanted = wanted);
    }

    pub(super) fn set_report_follows(&mut self, device: Device, follows: bool) {
        let of = self.plugged.iter_mut().filter(|plugged| plugged.device == device);
        of.for_each(|plugged| plugged.report_follows = follows);
    }

    pub(super) fn forget(&mut self, device: Device) {
        self.plugged.retain(|plugged| plugged.device != device);
        self.set_all(device, lopar::empty(device.resource));
    }

    pub(super) fn set_all(&mut self, device: Device, state: u8) {
        let of = self.connectors.iter_mut().filter(|connector| device.has(connector.index));
        of.for_each(|connector| connector.state = state);
    }

    pub(super) fn set_state(&mut self, index: DrcIndex, state: u8) {
        let of = self.connectors.iter_mut().filter(|connector| connector.index == index);
        of.for_each(|connector| connector.state = state);
    }
}
