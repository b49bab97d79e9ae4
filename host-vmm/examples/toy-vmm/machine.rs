// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machine: the tracker, and what a VMM keeps beside it.

use crate::memory::Memory;
use papr_unplug::{
    Config, Offer, RequestError, Span, TopologyError, Tracker,
    event::{Deletion, Device, Event, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::{Action, Capability, HotplugRequest, IdentifierType, Resource},
        offer::{Classes, Features},
        rtas::Indicator,
        section::HotplugSection,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use zerocopy::IntoBytes as _;

/// Place for a device: its connectors.
pub(crate) struct Place {
    /// The name of the device.
    pub(crate) id: &'static str,
    resource: Resource,
    pub(crate) first: DrcIndex,
    count: u32,
    /// The PHB that the device is behind.
    phb: Option<DrcIndex>,
}

impl Place {
    const fn new(id: &'static str, resource: Resource, first: u32, count: u32) -> Self {
        Self { id, resource, first: DrcIndex(first), count, phb: None }
    }

    const fn behind(self, phb: u32) -> Self {
        Self { phb: Some(DrcIndex(phb)), ..self }
    }

    fn connectors(&self) -> Span {
        Span::new(self.first, self.count).unwrap_or(self.first.into())
    }

    /// Returns the number of a PCI function in its slot.
    fn function(&self) -> Option<u32> {
        (self.resource == Resource::PCI).then_some(self.first.0 & 7)
    }

    fn is_in_slot_of(&self, other: &Self) -> bool {
        self.function().is_some() && self.first.0 | 7 == other.first.0 | 7
    }
}

/// All places. A PHB comes before what is behind it.
pub(crate) const PLACES: [Place; 6] = [
    Place::new("core1", Resource::CPU, 0x1000_0001, 1),
    Place::new("dimm2", Resource::MEMORY, 0x8000_0005, 2),
    Place::new("function1", Resource::PCI, 0x4000_0021, 1),
    Place::new("function0", Resource::PCI, 0x4000_0020, 1),
    Place::new("phb1", Resource::PHB, 0x2000_0001, 1),
    Place::new("root1", Resource::PCI, 0x4001_0010, 1).behind(0x2000_0001),
];

/// Hot plug event that the guest has not fetched.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Queued {
    /// The first connector of the device that it is about.
    device: u32,
    /// The request that it is about.
    pub(crate) request: Option<u64>,
    /// Its hot plug section.
    pub(crate) section: Vec<u8>,
}

/// Machine without processors.
pub(crate) struct Machine {
    pub(crate) memory: Memory,
    pub(crate) tracker: Tracker,
    /// What the tracker has told, and the main loop has not worked off.
    pub(crate) events: VecDeque<Event>,
    /// Hot plug events, oldest first.
    pub(crate) queue: VecDeque<Queued>,
    /// Number of parts that the guest has read of a connector's node, if not all.
    pub(crate) parts: BTreeMap<u32, usize>,
}

impl Machine {
    /// Returns a machine in which these devices are plugged, and configured by the guest.
    pub(crate) fn new(devices: &[&str]) -> Result<Self, TopologyError> {
        const MEMORY: usize = 4 << 20;
        let classes = Classes::CPU | Classes::MEMORY | Classes::PHB | Classes::PCI;
        let offer = Offer::new(Indicator(9100), classes, Features::TOKEN | Features::STARTED);
        let mut machine = Self {
            memory: Memory::new(MEMORY),
            tracker: Tracker::new(Config::default().offer(offer)),
            events: VecDeque::new(),
            queue: VecDeque::new(),
            parts: BTreeMap::new(),
        };
        for place in PLACES.iter().filter(|place| place.phb.is_none()) {
            machine.tracker.add_connectors(place.resource, place.connectors())?;
        }
        for place in PLACES.iter().filter(|place| devices.contains(&place.id)) {
            machine.plug(place)?;
            machine.tracker.boot(place.first);
        }
        Ok(machine)
    }

    /// Plugs a device that the guest is told of (`device_add`).
    pub(crate) fn add(&mut self, place: &Place) -> Result<(), TopologyError> {
        self.plug(place)?;
        let (identifier_type, identifier) = match place.resource {
            Resource::MEMORY => (IdentifierType::DRC_INDEXED_COUNT, [place.count, place.first.0]),
            _ => (IdentifierType::DRC_INDEX, [place.first.0, 0]),
        };
        let section = HotplugSection::new(HotplugRequest {
            resource: place.resource,
            action: Action::ADD,
            identifier_type,
            capability: Capability::empty(),
            identifier: identifier.map(Into::into),
        });
        // A VMM with processors raises the interrupt of hot plug events here and in `remove`.
        self.queue.push_back(Queued { device: place.first.0, request: None, section: section.as_bytes().to_vec() });
        Ok(())
    }

    fn plug(&mut self, place: &Place) -> Result<(), TopologyError> {
        self.tracker.plug(place.connectors())?;
        for behind in PLACES.iter().filter(|behind| behind.phb == Some(place.first)) {
            self.tracker.add_connectors(behind.resource, behind.connectors())?;
        }
        Ok(())
    }

    /// Requests the removal of a device (`device_del`). Functions of a slot are asked for together with function 0.
    pub(crate) fn remove(&mut self, place: &Place) -> Result<Requested, RequestError> {
        let mut requested = match place.function() {
            Some(0) => {
                let others = PLACES.iter().filter(|other| other.is_in_slot_of(place) && other.first != place.first);
                let others = others.map(|other| other.first).filter(|first| self.tracker.device(*first).is_some());
                let together: Vec<_> = others.chain([place.first]).collect();
                self.tracker.request_together(&together, &mut self.events)?
            }
            Some(_) => vec![self.tracker.withhold(place.first, &mut self.events)?],
            None => vec![self.tracker.request(place.first, &mut self.events)?],
        };
        for made in &requested {
            if let Requested::Ask(ask) = made {
                let (device, request) = (ask.device.connectors.first().0, Some(ask.request.0));
                self.queue.push_back(Queued { device, request, section: ask.section().as_ref().to_vec() });
            }
        }
        requested.pop().ok_or(RequestError::NoSuchDevice(place.first))
    }

    /// Resets the machine.
    pub(crate) fn reset(&mut self) {
        self.tracker.reset(&mut self.events);
        self.discard();
    }

    /// Does what `ibm,client-architecture-support` does to connectors.
    pub(crate) fn cas(&mut self) {
        self.tracker.cas(&mut self.events);
        self.discard();
    }

    fn discard(&mut self) {
        // PUE-V-073
        self.queue.clear();
        self.parts.clear();
    }

    /// Works off, in the main loop, what the tracker has told. Returns what to tell the user.
    pub(crate) fn work_off(&mut self) -> Result<Vec<Event>, TopologyError> {
        let mut told = Vec::new();
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Ended(outcome) => self.void(|queued| queued.request == Some(outcome.request.0)),
                Event::Deleted(deletion) => self.delete(&deletion)?,
                _ => {}
            }
            told.push(event);
        }
        Ok(told)
    }

    /// Deletes a device. The tracker has forgotten it.
    fn delete(&mut self, deletion: &Deletion) -> Result<(), TopologyError> {
        let connectors = deletion.device.connectors;
        self.void(|queued| queued.device == connectors.first().0);
        self.parts.retain(|index, _| !connectors.contains(DrcIndex(*index)));
        // PUE-V-068: what is behind a PHB goes with it.
        for place in PLACES.iter().filter(|place| place.phb == Some(connectors.first())) {
            let device = Device { resource: place.resource, connectors: place.connectors() };
            let before = self.events.len();
            if self.tracker.unplug_released(place.first, &mut self.events) {
                let ended = self.events.len().saturating_sub(before) as u32;
                self.events.push_back(Event::Deleted(Deletion::new(device, deletion.by, ended)));
            }
            self.tracker.remove_connectors(device.connectors)?;
        }
        Ok(())
    }

    /// Makes hot plug events ask for nothing. They stay in the queue: Linux crashes if an interrupt finds no event
    /// (PUE-V-074 to PUE-V-076).
    fn void(&mut self, is_void: impl Fn(&Queued) -> bool) {
        for queued in self.queue.iter_mut().filter(|queued| is_void(queued)) {
            queued.section = HotplugSection::new(HotplugRequest::ZERO).as_bytes().to_vec();
        }
    }
}
