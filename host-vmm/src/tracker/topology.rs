// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which connectors there are, and which device stands behind which.

use crate::{
    drc::{Connector, Kind, Occupant, State},
    event::Device,
    span::Span,
    tracker::TopologyError,
    wire::{drc::DrcIndex, hotplug::Resource},
};
use hashbrown::HashMap;

/// The connectors of a machine and the devices behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    connectors: HashMap<DrcIndex, Slot>,
    devices: HashMap<DrcIndex, Plugged>,
}

/// One connector.
#[derive(Clone, Copy, Debug)]
struct Slot {
    resource: Resource,
    state: State,
    /// The first connector of the device behind it.
    device: Option<DrcIndex>,
}

/// One device. It is named by the first of its connectors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plugged {
    /// What it is.
    pub(crate) device: Device,
    /// How many of its connectors are not given back.
    pub(crate) held: u32,
    /// Whether its removal is wanted (PUE-V-061).
    pub(crate) wanted: bool,
    /// How many requests about it are open.
    pub(crate) open: u32,
}

impl Topology {
    /// Adds connectors with nothing behind them, all or none.
    pub(crate) fn add(&mut self, resource: Resource, span: Span) -> Result<(), TopologyError> {
        let kind = Kind::of(resource).ok_or(TopologyError::UnknownResource(resource))?;
        if let Some(index) = span.indexes().find(|index| self.connectors.contains_key(index)) {
            return Err(TopologyError::ConnectorExists(index));
        }
        let slot = Slot { resource, state: kind.empty(), device: None };
        self.connectors.extend(span.indexes().map(|index| (index, slot)));
        Ok(())
    }

    /// Removes connectors with nothing behind them, all or none.
    pub(crate) fn remove(&mut self, span: Span) -> Result<(), TopologyError> {
        self.vacant(span)?;
        for index in span.indexes() {
            self.connectors.remove(&index);
        }
        Ok(())
    }

    /// Puts a device behind connectors that have none. They stay as they are: the guest has yet to take them.
    pub(crate) fn plug(&mut self, span: Span) -> Result<(), TopologyError> {
        let resource = self.vacant(span)?;
        let device = Device { resource, connectors: span };
        self.devices.insert(span.first(), Plugged { device, held: 0, wanted: false, open: 0 });
        self.occupy(span, Some(span.first()));
        Ok(())
    }

    /// Takes a device away; its connectors are empty then.
    pub(crate) fn unplug(&mut self, first: DrcIndex) -> Option<Device> {
        let device = self.devices.remove(&first)?.device;
        self.occupy(device.connectors, None);
        for index in device.connectors.indexes() {
            if let Some(slot) = self.connectors.get_mut(&index) {
                slot.state = slot.state.kind().empty();
            }
        }
        Some(device)
    }

    fn occupy(&mut self, span: Span, device: Option<DrcIndex>) {
        for index in span.indexes() {
            if let Some(slot) = self.connectors.get_mut(&index) {
                slot.device = device;
            }
        }
    }

    /// The resource of connectors that all exist, are of one kind of resource and have nothing behind them.
    fn vacant(&self, span: Span) -> Result<Resource, TopologyError> {
        let slot = |index| self.connectors.get(&index).ok_or(TopologyError::NoSuchConnector(index));
        let resource = slot(span.first())?.resource;
        for index in span.indexes() {
            match *slot(index)? {
                Slot { device: Some(_), .. } => return Err(TopologyError::Occupied(index)),
                Slot { resource: other, .. } if other != resource => return Err(TopologyError::MixedResources(index)),
                Slot { .. } => {}
            }
        }
        Ok(resource)
    }

    /// The connector, and the device behind it.
    pub(crate) fn connector(&self, index: DrcIndex) -> Option<(Connector, Option<&Plugged>)> {
        let Slot { resource, state, device } = *self.connectors.get(&index)?;
        let device = device.and_then(|first| self.devices.get(&first));
        let occupant = match device {
            None => Occupant::Nobody,
            Some(Plugged { wanted: false, .. }) => Occupant::Kept,
            Some(Plugged { open: 0, .. }) => Occupant::Wanted,
            Some(_) => Occupant::Asked,
        };
        Some((Connector { resource, state, occupant }, device))
    }

    /// The resource of a connector, and the first connector of the device behind it.
    pub(crate) fn behind(&self, index: DrcIndex) -> Option<(Resource, Option<DrcIndex>)> {
        self.connectors.get(&index).map(|slot| (slot.resource, slot.device))
    }

    /// Moves a connector into a state of its own kind.
    pub(crate) fn set_state(&mut self, index: DrcIndex, state: State) {
        let Some(slot) = self.connectors.get_mut(&index) else { return };
        let (before, after) = (slot.state.is_given_back(), state.is_given_back());
        slot.state = state;
        let device = slot.device.and_then(|first| self.devices.get_mut(&first));
        match (device, before, after) {
            (Some(device), true, false) => device.held = device.held.saturating_add(1),
            (Some(device), false, true) => device.held = device.held.saturating_sub(1),
            _ => {}
        }
    }

    /// Puts a device and all its connectors into a saved state, with no request open.
    pub(crate) fn restore(&mut self, device: Device, wanted: bool, states: impl Iterator<Item = State>) {
        for (index, state) in device.connectors.indexes().zip(states) {
            self.set_state(index, state);
        }
        if let Some(plugged) = self.devices.get_mut(&device.connectors.first()) {
            (plugged.wanted, plugged.open) = (wanted, 0);
        }
    }

    /// The device whose first connector this is.
    pub(crate) fn device(&self, first: DrcIndex) -> Option<&Plugged> {
        self.devices.get(&first)
    }

    /// The same, to be changed.
    pub(crate) fn device_mut(&mut self, first: DrcIndex) -> Option<&mut Plugged> {
        self.devices.get_mut(&first)
    }

    /// All devices, in the order of their names.
    pub(crate) fn devices(&self) -> Vec<Plugged> {
        let mut devices: Vec<_> = self.devices.values().copied().collect();
        devices.sort_unstable_by_key(|plugged| plugged.device.connectors.first());
        devices
    }

    /// Whether any removal is wanted.
    pub(crate) fn is_any_wanted(&self) -> bool {
        self.devices.values().any(|plugged| plugged.wanted)
    }

    /// The lowest connector of a device that is not given back.
    pub(crate) fn lowest_held(&self, device: Device) -> Option<DrcIndex> {
        let held = |index: &DrcIndex| self.connectors.get(index).is_some_and(|slot| !slot.state.is_given_back());
        device.connectors.indexes().find(held)
    }
}
