// SPDX-License-Identifier: MIT OR Apache-2.0

//! Topology of a machine: its connectors, and the devices behind them.

use crate::{
    drc::{Connector, Kind, Occupant, State},
    event::Device,
    span::Span,
    tracker::Tracker,
    wire::{drc::DrcIndex, hotplug::Resource},
};
use alloc::vec::Vec;
use hashbrown::HashMap;

/// Error of a change of the machine's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// LoPAR knows no connectors for this resource.
    #[error("no connectors are known for {0}")]
    UnknownResource(Resource),
    /// A connector with this index exists.
    #[error("connector {0} exists already")]
    ConnectorExists(DrcIndex),
    /// No connector has this index.
    #[error("there is no connector {0}")]
    NoSuchConnector(DrcIndex),
    /// A device is plugged behind this connector.
    #[error("connector {0} has a device already")]
    Occupied(DrcIndex),
    /// The connectors of one device connect different resources.
    #[error("connector {0} is of another resource than the first")]
    MixedResources(DrcIndex),
    /// The machine would have more connectors than [`Tracker::MAX_CONNECTORS`].
    #[error("a machine takes no more than {max} connectors", max = Tracker::MAX_CONNECTORS)]
    TooManyConnectors,
}

/// Connectors of a machine and the devices behind them.
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
    /// First connector of the device behind it.
    device: Option<DrcIndex>,
}

/// Plugged device. The first of its connectors names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plugged {
    /// Resource and connectors of the device.
    pub(crate) device: Device,
    /// True if a report without a token is expected that is about a request which a hint has ended (PUE-V-043).
    pub(crate) echo: bool,
    /// Number of its connectors that are not given back.
    pub(crate) held: u32,
    /// True if its removal is wanted (PUE-V-061).
    pub(crate) wanted: bool,
    /// Number of open requests for it.
    pub(crate) open: u32,
}

impl Topology {
    /// Adds connectors without a device, all or none.
    pub(crate) fn add(&mut self, resource: Resource, span: Span) -> Result<(), TopologyError> {
        let kind = Kind::of(resource).ok_or(TopologyError::UnknownResource(resource))?;
        let count = usize::try_from(span.count()).unwrap_or(usize::MAX);
        if self.connectors.len().saturating_add(count) > Tracker::MAX_CONNECTORS {
            return Err(TopologyError::TooManyConnectors);
        }
        if let Some(index) = span.indexes().find(|index| self.connectors.contains_key(index)) {
            return Err(TopologyError::ConnectorExists(index));
        }
        let slot = Slot { resource, state: kind.empty(), device: None };
        self.connectors.extend(span.indexes().map(|index| (index, slot)));
        Ok(())
    }

    /// Removes connectors without a device, all or none.
    pub(crate) fn remove(&mut self, span: Span) -> Result<(), TopologyError> {
        self.vacant(span)?;
        for index in span.indexes() {
            self.connectors.remove(&index);
        }
        Ok(())
    }

    /// Plugs a device behind connectors that have none. Their states stay: the guest has not taken the device yet.
    pub(crate) fn plug(&mut self, span: Span) -> Result<(), TopologyError> {
        let resource = self.vacant(span)?;
        let device = Device { resource, connectors: span };
        self.devices.insert(span.first(), Plugged { device, echo: false, held: 0, wanted: false, open: 0 });
        self.occupy(span, Some(span.first()));
        Ok(())
    }

    /// Takes a device away and empties its connectors.
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

    /// Returns the resource of connectors. Fails unless all exist, connect the same resource and have no device.
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

    /// Returns a connector and the device behind it.
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

    /// Returns the resource of a connector, and the first connector of the device behind it.
    pub(crate) fn behind(&self, index: DrcIndex) -> Option<(Resource, Option<DrcIndex>)> {
        self.connectors.get(&index).map(|slot| (slot.resource, slot.device))
    }

    /// Sets the state of a connector to one of its kind.
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

    /// Sets the states of a device's connectors, whether its removal is wanted, and the number of its open requests.
    pub(crate) fn restore(&mut self, device: Device, wanted: bool, open: u32, states: impl Iterator<Item = State>) {
        for (index, state) in device.connectors.indexes().zip(states) {
            self.set_state(index, state);
        }
        if let Some(plugged) = self.devices.get_mut(&device.connectors.first()) {
            (plugged.echo, plugged.wanted, plugged.open) = (false, wanted, open);
        }
    }

    /// Expects no report that repeats a hint (PUE-V-043).
    pub(crate) fn forget_echoes(&mut self) {
        self.devices.values_mut().for_each(|plugged| plugged.echo = false);
    }

    /// Returns the device with this first connector.
    pub(crate) fn device(&self, first: DrcIndex) -> Option<&Plugged> {
        self.devices.get(&first)
    }

    /// Returns the device with this first connector, to be changed.
    pub(crate) fn device_mut(&mut self, first: DrcIndex) -> Option<&mut Plugged> {
        self.devices.get_mut(&first)
    }

    /// Returns all devices, in the order of their first connectors.
    pub(crate) fn devices(&self) -> Vec<Plugged> {
        let mut devices: Vec<_> = self.devices.values().copied().collect();
        devices.sort_unstable_by_key(|plugged| plugged.device.connectors.first());
        devices
    }

    /// Returns whether the removal of any device is wanted.
    pub(crate) fn is_any_wanted(&self) -> bool {
        self.devices.values().any(|plugged| plugged.wanted)
    }

    /// Returns the lowest connector of a device that is not given back.
    pub(crate) fn lowest_held(&self, device: Device) -> Option<DrcIndex> {
        let held = |index: &DrcIndex| self.connectors.get(index).is_some_and(|slot| !slot.state.is_given_back());
        device.connectors.indexes().find(held)
    }
}
