// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host crate, plugged into the model.

use crate::{
    machine::{CONNECTORS, CPU0, Connector, Device, LMB0, UNPLUG_STATUS},
    vmm::{self, Effects, Input, Open, Outcome, Vmm},
};
use papr_unplug::{
    Config, Offer, Span, Tracker,
    event::{End, Event, Evidence, RequestId, Requested},
    foreign::Foreign,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        rtas::EntitySense,
    },
};
use std::hash::{Hash, Hasher};

/// A VMM that is the host crate and nothing else.
#[derive(Clone, Debug)]
pub struct Host {
    tracker: Tracker,
    /// The model's names for the tracker's requests: several, where a VMM that knows level 0 only has merged them.
    names: Vec<(RequestId, Vec<vmm::RequestId>)>,
    asked: vmm::RequestId,
}

const MAX_OPEN: usize = 4;

impl Host {
    /// A VMM with both devices plugged and configured.
    pub fn new() -> Self {
        Self { tracker: machine(offered(), Device::ALL.into_iter()), names: Vec::new(), asked: 0 }
    }

    /// A VMM with the devices that are plugged here, as a restoring VMM has them.
    fn twin(&self, offer: Option<Offer>) -> Tracker {
        machine(offer, Device::ALL.into_iter().filter(|device| self.present(*device)))
    }

    fn rename(&mut self, id: RequestId) -> Vec<vmm::RequestId> {
        let at = self.names.iter().position(|(known, _)| *known == id);
        at.map_or(Vec::new(), |at| self.names.remove(at).1)
    }

    fn migrate(&mut self) {
        let mut twin = self.twin(offered());
        // A guest that was offered nothing by the VMM before is offered nothing by this one.
        twin.restore(&self.tracker.save(), &mut ()).unwrap_or_else(|error| panic!("{error}"));
        self.tracker = twin;
    }

    /// PUE-V-082, PUE-V-083
    fn migrate_marks(&mut self, offer: Option<Offer>) {
        let occupied = (0..CONNECTORS as u8).map(Connector).filter(|connector| self.present(connector.device()));
        let foreign = |connector: Connector| Foreign {
            index: connector.index(),
            state: self.tracker.state(connector.index()).map_or(0, |state| u32::from(state.number())),
            unplug_requested: self.tracker.is_unplug_requested(connector.index()),
        };
        let marks: Vec<_> = occupied.map(foreign).collect();
        let mut twin = self.twin(offer);
        twin.import(&marks, &mut ()).unwrap_or_else(|error| panic!("{error}"));
        let merged = |first: DrcIndex| {
            let known = self.tracker.requests().iter().filter(|request| request.device.connectors.first() == first);
            let names = known.flat_map(|request| self.names.iter().filter(|(id, _)| *id == request.id));
            names.flat_map(|(_, names)| names.iter().copied()).collect()
        };
        let requests = twin.requests().iter();
        self.names = requests.map(|request| (request.id, merged(request.device.connectors.first()))).collect();
        self.tracker = twin;
    }

    fn tell(&mut self, event: Event, effects: &mut Effects) {
        match event {
            Event::Deleted(gone) => effects.events.push(vmm::Event::Deleted(device(gone.device.connectors))),
            Event::Ended(outcome) => {
                let end = end(outcome.end);
                let device = device(outcome.device.connectors);
                let ended = |id| vmm::Event::Outcome(Some(id), device, end);
                effects.events.extend(self.rename(outcome.request).into_iter().map(ended));
            }
            _ => {}
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Vmm for Host {
    fn step(&mut self, input: Input) -> Effects {
        let mut effects = Effects::default();
        let mut events = Vec::new();
        match input {
            Input::DeviceDel(device) => {
                let id = self.asked;
                let asked = self.tracker.request(device.connectors()[0].index(), &mut events);
                if let Ok(requested) = asked {
                    self.asked += 1;
                    self.names.push((requested.id(), vec![id]));
                    if let Requested::Ask(ask) = requested {
                        let asked = self::device(ask.device.connectors);
                        effects.events.push(vmm::Event::Hotplug(asked, ask.token));
                    }
                }
                effects.asked = Some(asked.map(|_| id).map_err(|_| "refused by the tracker"));
            }
            Input::SetIndicator(indicator, index, value) => {
                let answer = self.tracker.set_indicator(&[indicator.0, index.0, value], &mut events);
                effects.status = Some(answer.status);
            }
            Input::Configure(index) => {
                let mut status = self.tracker.configure(index, &mut events);
                if status.is_success() {
                    status = self.tracker.configured(index);
                }
                effects.status = Some(status);
            }
            Input::Reset => self.tracker.reset(&mut events),
            Input::Migrate => self.migrate(),
            Input::MigrateToLevel0 => self.migrate_marks(None),
            Input::MigrateToLevel1 => self.migrate_marks(offered()),
        }
        for event in events {
            self.tell(event, &mut effects);
        }
        effects
    }

    fn present(&self, device: Device) -> bool {
        self.tracker.device(device.connectors()[0].index()).is_some()
    }

    fn usable(&self, connector: Connector) -> bool {
        let (_, sense) = self.tracker.get_sensor_state(&[EntitySense::SENSOR, connector.index().0]);
        sense == EntitySense::PRESENT
    }

    fn open(&self) -> Vec<Open> {
        let open = |request: &papr_unplug::Request| {
            let names = self.names.iter().find(|(id, _)| *id == request.id).map(|(_, names)| names.clone());
            let (device, promised) = (device(request.device.connectors), request.promised);
            names.unwrap_or_default().into_iter().map(move |request| Open { request, device, promised })
        };
        self.tracker.requests().iter().flat_map(open).collect()
    }

    fn offers(&self) -> bool {
        self.tracker.offered().is_some()
    }
}

/// Two are equal if all that a later answer depends on is.
impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        (self.tracker.save(), &self.names, self.asked) == (other.tracker.save(), &other.names, other.asked)
    }
}

impl Eq for Host {}

impl Hash for Host {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.tracker.save(), &self.names, self.asked).hash(hasher);
    }
}

fn offered() -> Option<Offer> {
    Offer::new(UNPLUG_STATUS, Classes::CPU | Classes::MEMORY, Features::TOKEN | Features::STARTED)
}

fn machine(offer: Option<Offer>, devices: impl Iterator<Item = Device>) -> Tracker {
    let mut tracker = Tracker::new(Config::default().offer(offer).max_open(MAX_OPEN));
    for device in Device::ALL {
        tracker.add_connectors(device.resource(), span(device)).unwrap_or_else(|error| panic!("{error}"));
    }
    for device in devices {
        tracker.plug(span(device)).unwrap_or_else(|error| panic!("{error}"));
        tracker.boot(span(device).first());
    }
    tracker
}

fn span(device: Device) -> Span {
    let connectors = device.connectors();
    Span::new(connectors[0].index(), connectors.len() as u32).unwrap_or_else(|| panic!("{device} has connectors"))
}

fn device(connectors: Span) -> Device {
    if connectors.first() == CPU0.index() { Device::Cpu } else { Device::Dimm }
}

fn end(end: End) -> Outcome {
    match end {
        End::Released | End::Removed => Outcome::Released,
        End::Refused(refusal) => Outcome::Refused {
            connector: Connector::of(refusal.connector).unwrap_or(LMB0),
            reason: refusal.reason,
            errno: refusal.errno,
            source: match refusal.evidence {
                Evidence::Token => vmm::Source::Token,
                Evidence::Order => vmm::Source::Order,
                _ => vmm::Source::Inferred,
            },
        },
        _ => Outcome::Reset,
    }
}
