// SPDX-License-Identifier: MIT OR Apache-2.0

//! VMM of the model that consists of the crate alone.

use super::machine::span;
use papr_unplug::{
    Config, Tracker,
    event::{self, Cause, End, Evidence, RequestId, Requested},
    foreign::Foreign,
    wire::{drc::DrcIndex, offer::Offer, rtas::EntitySense},
};
use papr_unplug_model::{
    machine::{ALL_DEVICES, Device},
    reference,
    vmm::{self, Effects, Event, Input, Open, Outcome, Source, Taker, Vmm},
};
use std::hash::{Hash, Hasher};

/// The crate, with the devices of the vectors' machine.
#[derive(Clone, Debug)]
pub struct Host {
    tracker: Tracker,
    /// The model's identities of the tracker's requests: several, where a VMM that knows level 0 only has merged them.
    known: Vec<(RequestId, Vec<vmm::RequestId>)>,
    asked: vmm::RequestId,
}

const VECTORS: reference::Config = reference::Config::VECTORS;

impl Host {
    /// Returns a VMM with every device plugged and configured.
    pub fn new() -> Self {
        Self { tracker: machine(VECTORS.offer, ALL_DEVICES.into_iter()), known: Vec::new(), asked: 0 }
    }

    /// Returns a VMM with the devices that are plugged here, as a restoring VMM has them.
    fn twin(&self, offer: Option<Offer>) -> Tracker {
        machine(offer, ALL_DEVICES.into_iter().filter(|device| self.present(*device)))
    }

    fn end(&mut self, id: RequestId) -> Vec<vmm::RequestId> {
        let at = self.known.iter().position(|(known, _)| *known == id);
        at.map_or(Vec::new(), |at| self.known.remove(at).1)
    }

    fn migrate(&mut self) {
        let mut twin = self.twin(VECTORS.offer);
        // A guest that was offered nothing by the VMM before is offered nothing by this one.
        twin.restore(&self.tracker.save(), &mut ()).unwrap_or_else(|error| panic!("{error}"));
        self.tracker = twin;
    }

    /// PUE-V-082, PUE-V-083
    fn migrate_marks(&mut self, offer: Option<Offer>) {
        let devices = ALL_DEVICES.into_iter().filter(|device| self.present(*device));
        let foreign = |index: DrcIndex| Foreign {
            index,
            state: self.tracker.state(index).map_or(0, |state| u32::from(state.number())),
            unplug_requested: self.tracker.is_unplug_requested(index),
        };
        let marks: Vec<_> = devices.flat_map(Device::connectors).map(foreign).collect();
        let mut twin = self.twin(offer);
        twin.import(&marks, &mut ()).unwrap_or_else(|error| panic!("{error}"));
        let merged = |first: DrcIndex| {
            let known = self.tracker.requests().iter().filter(|request| request.device.connectors.first() == first);
            let ids = known.flat_map(|request| self.known.iter().filter(|(id, _)| *id == request.id));
            ids.flat_map(|(_, ids)| ids.iter().copied()).collect()
        };
        let requests = twin.requests().iter();
        self.known = requests.map(|request| (request.id, merged(request.device.connectors.first()))).collect();
        self.tracker = twin;
    }

    fn tell(&mut self, told: event::Event, effects: &mut Effects) {
        match event(told) {
            Event::Outcome(Some(id), device, outcome) => {
                let ended = self.end(RequestId(id)).into_iter();
                effects.events.extend(ended.map(|id| Event::Outcome(Some(id), device, outcome)));
            }
            other => effects.events.push(other),
        }
    }

    /// Takes note of a request, and returns the hot plug event that it sends.
    fn made(&mut self, requested: Requested) -> Option<Event> {
        if !self.known.iter().any(|(known, _)| *known == requested.id()) {
            self.asked += 1;
            self.known.push((requested.id(), vec![self.asked]));
        }
        match requested {
            Requested::Ask(ask) => {
                let known = self.known.iter().find(|(known, _)| *known == ask.request).map(|(_, ids)| ids[0]);
                Some(Event::Hotplug(known.unwrap_or(self.asked), device(ask.device), ask.token))
            }
            _ => None,
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
        let mut asked = Ok(Vec::new());
        match input {
            Input::DeviceDel(device) => asked = self.tracker.request(device.first, &mut events).map(|made| vec![made]),
            Input::Withhold(device) => asked = self.tracker.withhold(device.first, &mut events).map(|made| vec![made]),
            Input::Together([other, named]) => {
                let is_there = self.present(other);
                let devices = [other, named].map(|device| device.first);
                let devices = if is_there { &devices[..] } else { &devices[1..] };
                asked = self.tracker.request_together(devices, &mut events);
            }
            Input::Withdraw(request) => {
                let known = self.known.iter().find(|(_, ids)| ids.contains(&request)).map(|(known, _)| *known);
                let withdrawn = self.tracker.withdraw(known.unwrap_or(RequestId(0)), &mut events);
                effects.asked = Some(withdrawn.map(|()| request).map_err(|_| "refused by the tracker"));
            }
            Input::SetIndicator(indicator, index, value) => {
                effects.status = Some(self.tracker.set_indicator(&[indicator.0, index.0, value], &mut events).status);
            }
            Input::Configure(index) => {
                let mut status = self.tracker.configure(index, &mut events);
                if status.is_success() {
                    status = self.tracker.configured(index);
                }
                effects.status = Some(status);
            }
            Input::Reset => self.tracker.reset(&mut events),
            Input::Cas => self.tracker.cas(&mut events),
            Input::Migrate => self.migrate(),
            Input::MigrateToLevel0 => self.migrate_marks(None),
            Input::MigrateToLevel1 => self.migrate_marks(VECTORS.offer),
        }
        // What is released at once ends a request that was just made.
        let is_device_del = matches!(input, Input::DeviceDel(_) | Input::Withhold(_) | Input::Together(_));
        let hotplug: Vec<Event> = match asked {
            Ok(made) => made.into_iter().filter_map(|made| self.made(made)).collect(),
            Err(_) => {
                effects.asked = Some(Err("refused by the tracker"));
                Vec::new()
            }
        };
        if is_device_del && effects.asked.is_none() {
            effects.asked = Some(Ok(self.asked));
        }
        for event in events {
            self.tell(event, &mut effects);
        }
        effects.events.extend(hotplug);
        effects
    }

    fn present(&self, device: Device) -> bool {
        self.tracker.device(device.first).is_some()
    }

    fn usable(&self, connector: DrcIndex) -> bool {
        let (_, sense) = self.tracker.get_sensor_state(&[EntitySense::SENSOR, connector.0]);
        sense == EntitySense::PRESENT
    }

    fn open(&self) -> Vec<Open> {
        let open = |request: &papr_unplug::Request| {
            let known = self.known.iter().find(|(id, _)| *id == request.id).map(|(_, ids)| ids.clone());
            let (device, promised, withheld) = (device(request.device), request.promised, request.withheld);
            known.unwrap_or_default().into_iter().map(move |request| Open { request, device, promised, withheld })
        };
        self.tracker.requests().iter().flat_map(open).collect()
    }

    fn offers(&self) -> bool {
        self.tracker.offered().is_some()
    }
}

/// Two VMMs are equal if they answer every later call alike.
impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        (self.tracker.save(), &self.known, self.asked) == (other.tracker.save(), &other.known, other.asked)
    }
}

impl Eq for Host {}

impl Hash for Host {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.tracker.save(), &self.known, self.asked).hash(hasher);
    }
}

fn machine(configured: Option<Offer>, devices: impl Iterator<Item = Device>) -> Tracker {
    let config = Config::default().offer(configured.map(offer));
    let mut tracker = Tracker::new(config.max_open(VECTORS.max_open).max_open_per_device(VECTORS.max_open_per_device));
    for device in ALL_DEVICES {
        tracker.add_connectors(device.resource, span(device)).unwrap_or_else(|error| panic!("{error}"));
    }
    for device in devices {
        tracker.plug(span(device)).unwrap_or_else(|error| panic!("{error}"));
        tracker.boot(device.first);
    }
    tracker
}

/// Returns the crate's offer for one of the wire.
pub fn offer(offer: Offer) -> papr_unplug::Offer {
    papr_unplug::Offer::new(offer.indicator(), offer.classes(), offer.features())
        .expect("the offers are in the vendor range")
}

/// Returns the model's device for one of the crate.
pub fn device(device: event::Device) -> Device {
    Device { resource: device.resource, first: device.connectors.first(), count: device.connectors.count() }
}

/// Returns the model's event for one of the crate.
pub fn event(event: event::Event) -> Event {
    match event {
        event::Event::Deleted(gone) => {
            let taker = match gone.by {
                Cause::Guest => Taker::Guest,
                Cause::Reset => Taker::Reset,
                Cause::Cas => Taker::Cas,
                other => panic!("{other:?}"),
            };
            Event::Deleted(device(gone.device), taker, gone.requests)
        }
        event::Event::Ended(ended) => Event::Outcome(Some(ended.request.0), device(ended.device), outcome(ended.end)),
        other => panic!("{other:?}"),
    }
}

fn outcome(end: End) -> Outcome {
    match end {
        End::Released => Outcome::Released,
        End::Reset => Outcome::Reset,
        End::Cas => Outcome::Cas,
        End::Removed => Outcome::Removed,
        End::Withdrawn => Outcome::Withdrawn,
        End::Load => Outcome::Load,
        End::Refused(refusal) => Outcome::Refused {
            connector: refusal.connector,
            reason: refusal.reason,
            errno: refusal.errno,
            source: match refusal.evidence {
                Evidence::Token => Source::Token,
                Evidence::Order => Source::Order,
                Evidence::Inferred => Source::Inferred,
                other => panic!("{other:?}"),
            },
        },
        other => panic!("{other:?}"),
    }
}
