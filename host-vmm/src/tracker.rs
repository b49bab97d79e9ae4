// SPDX-License-Identifier: MIT OR Apache-2.0

//! All connectors, devices and removal requests of one machine.

mod ledger;
mod report;
mod topology;

pub use ledger::Request;

use crate::{
    decode::{self, Call},
    drc::{Effect, Input, Kind, State, step},
    event::{Ask, Device, End, Event, Events, Evidence, Outcome, Refusal, RequestId},
    span::Span,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features, Offer},
        reason::Reason,
        report::Errno,
        rtas::{EntitySense, Indicator, Status},
        token::Token,
    },
};
pub(crate) use ledger::Ledger;
pub(crate) use topology::{Plugged, Topology};

/// What a VMM decides about its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the guest is offered in the device tree it boots with; `None` offers no reports (PUE-V-001).
    pub offer: Option<Offer>,
    /// How many requests may be open at a time (PUE-V-052), at most 65535.
    pub max_open: usize,
}

/// The connectors, devices and removal requests of one machine.
///
/// Every call takes the place that the events go to; they are told before the call returns.
#[derive(Clone, Debug)]
pub struct Tracker {
    pub(crate) config: Config,
    /// What the guest that runs now was offered. It differs from the configured offer only after a restore.
    pub(crate) offered: Option<Offer>,
    pub(crate) armed: Classes,
    pub(crate) features: Features,
    pub(crate) topology: Topology,
    pub(crate) ledger: Ledger,
}

/// Why the layout of the machine could not be changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// LoPAR knows no connectors for this resource.
    #[error("no connectors are known for {0}")]
    UnknownResource(Resource),
    /// A connector with this index was added before.
    #[error("connector {0} exists already")]
    ConnectorExists(DrcIndex),
    /// No connector has this index.
    #[error("there is no connector {0}")]
    NoSuchConnector(DrcIndex),
    /// There is a device behind this connector.
    #[error("connector {0} has a device already")]
    Occupied(DrcIndex),
    /// The connectors of one device connect different resources.
    #[error("connector {0} is of another resource than the first")]
    MixedResources(DrcIndex),
}

/// Why a request was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No device has this first connector.
    #[error("there is no device at connector {0}")]
    NoSuchDevice(DrcIndex),
    /// The bound is reached.
    #[error("{0} removal requests are open already; wait until the guest has answered one of them")]
    TooMany(usize),
}

impl Default for Config {
    /// No reports, and up to 1024 open requests.
    fn default() -> Self {
        Self { offer: None, max_open: 1024 }
    }
}

impl Tracker {
    /// A machine without connectors.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            offered: config.offer,
            armed: Classes::empty(),
            features: Features::empty(),
            topology: Topology::default(),
            ledger: Ledger::new(config.max_open),
        }
    }

    /// Adds connectors with nothing behind them.
    pub fn add_connectors(&mut self, resource: Resource, connectors: Span) -> Result<(), TopologyError> {
        self.topology.add(resource, connectors)
    }

    /// Removes connectors with nothing behind them, as those of a PHB that is gone.
    pub fn remove_connectors(&mut self, connectors: Span) -> Result<(), TopologyError> {
        self.topology.remove(connectors)
    }

    /// Puts a device behind connectors that have none. The guest has not taken it: send it a hot plug event, or call
    /// [`Self::boot`].
    pub fn plug(&mut self, connectors: Span) -> Result<(), TopologyError> {
        self.topology.plug(connectors)
    }

    /// Marks a device as one that the guest finds in the device tree it boots with.
    pub fn boot(&mut self, first: DrcIndex) {
        if let Some(device) = self.topology.device(first).map(|plugged| plugged.device) {
            self.make_ready(device);
        }
    }

    /// Takes a device away that the guest was not asked for, because plugging it failed or what it hangs on is gone.
    /// Requests about it end as released. Tells whether there was one.
    pub fn unplug(&mut self, first: DrcIndex, events: &mut impl Events) -> bool {
        for request in self.ledger.close_all_of(first) {
            events.tell(ended(&request, End::Released));
        }
        self.topology.unplug(first).is_some()
    }

    /// Asks the guest to give a device back (`device_del`). Every call that succeeds makes a request of its own.
    pub fn request(&mut self, first: DrcIndex, events: &mut impl Events) -> Result<RequestId, RequestError> {
        let bound = self.ledger.bound();
        let full = self.ledger.is_full();
        let plugged = self.topology.device_mut(first).ok_or(RequestError::NoSuchDevice(first))?;
        if full {
            return Err(RequestError::TooMany(bound));
        }
        plugged.wanted = true;
        let (device, held) = (plugged.device, plugged.held);
        let id = self.ledger.name();
        let class = Classes::of(device.resource);
        let promised = self.armed.contains(class) && self.features.contains(Features::TOKEN) && TOKENS.contains(class);
        // PUE-V-054: the guest has nothing left to give back.
        let token = if promised && held > 0 { self.ledger.token() } else { Token::NONE };
        let request = Request { id, device, token, promised, started: false, hint: None };
        self.ledger.open(request);
        self.count_open(device, 1);
        if held == 0 {
            self.release(device, events);
        } else {
            events.tell(Event::Ask(Ask { request: id, device, token }));
        }
        Ok(id)
    }

    /// The guest calls `set-indicator` with these input words. The status is its only output word.
    ///
    /// A call with another number of input words gets -3.
    pub fn set_indicator(&mut self, words: &[u32], events: &mut impl Events) -> Status {
        let Ok(words) = <[u32; decode::SET_INDICATOR_INPUTS]>::try_from(words) else {
            return Status::NO_SUCH_INDICATOR;
        };
        match decode::set_indicator(words, self.offered.map(|offer| offer.indicator())) {
            Ok(Call::Transition(index, input)) => self.transition(index, input, events),
            Ok(Call::DrIndicator(index)) => match self.topology.behind(index).map(|(resource, _)| Kind::of(resource)) {
                Some(Some(Kind::Physical)) => Status::SUCCESS,
                _ => Status::NO_SUCH_INDICATOR,
            },
            Ok(Call::Report(index, report)) => self.report(index, report, events),
            Err(status) => status,
        }
    }

    /// The guest calls `get-sensor-state` with these input words. The output words are the status and the sensor's state.
    ///
    /// There is one sensor, dr-entity-sense (9003). A call with another number of input words gets -3.
    pub fn get_sensor_state(&self, words: &[u32]) -> (Status, EntitySense) {
        let index = <[u32; 2]>::try_from(words).map_err(|_| Status::NO_SUCH_INDICATOR);
        match index.and_then(decode::get_sensor_state).map(|index| self.topology.connector(index)) {
            Ok(Some((connector, device))) => (Status::SUCCESS, sense(connector.state, device.is_some())),
            Ok(None) => (Status::NO_SUCH_INDICATOR, EntitySense::EMPTY),
            Err(status) => (status, EntitySense::EMPTY),
        }
    }

    /// The guest begins a series of `ibm,configure-connector` calls. Unless the status is 0 there is nothing to be
    /// configured, and the status is what the call returns.
    pub fn configure(&mut self, index: DrcIndex, events: &mut impl Events) -> Status {
        self.transition(index, Input::Configure, events)
    }

    /// Whether a series of `ibm,configure-connector` calls may go on.
    pub fn is_configurable(&self, index: DrcIndex) -> bool {
        self.topology
            .connector(index)
            .is_some_and(|(connector, _)| step(connector, Input::Configured).status.is_success())
    }

    /// The last call of a series of `ibm,configure-connector` calls has been answered: the guest has the whole node.
    pub fn configured(&mut self, index: DrcIndex) -> Status {
        self.transition(index, Input::Configured, &mut ())
    }

    /// The machine is reset, or the guest negotiates (CAS). Hot plug events that the guest has not taken are to be
    /// discarded, and the guest that comes is offered what is configured (PUE-V-070 to PUE-V-073).
    pub fn reset(&mut self, events: &mut impl Events) {
        self.offered = self.config.offer;
        (self.armed, self.features) = (Classes::empty(), Features::empty());
        let requests = self.ledger.close_all();
        for request in &requests {
            events.tell(ended(request, request.hint.map_or(End::Reset, inferred)));
        }
        // A device may have had several requests, and all of them are told of before it goes.
        for request in requests.iter().filter(|request| request.hint.is_none()) {
            if let Some(device) = self.topology.unplug(request.device.connectors.first()) {
                events.tell(Event::Deleted(device));
            }
        }
        for plugged in self.topology.devices() {
            if let Some(plugged) = self.topology.device_mut(plugged.device.connectors.first()) {
                (plugged.wanted, plugged.open) = (false, 0);
            }
            self.make_ready(plugged.device);
        }
    }

    /// Changes what guests are offered from their next boot on. `None` also ends what the guest of now was offered, as if
    /// it had disarmed: its reports get -3.
    pub fn set_offer(&mut self, offer: Option<Offer>, events: &mut impl Events) {
        self.config.offer = offer;
        if offer.is_none() {
            self.offered = None;
            self.arm(Classes::empty(), Features::empty(), events);
        }
    }

    /// The requests that have no outcome yet, oldest first (PUE-V-101).
    pub fn requests(&self) -> &[Request] {
        self.ledger.requests()
    }

    /// How many requests may be open at a time.
    pub fn max_open(&self) -> usize {
        self.ledger.bound()
    }

    /// The classes and features that the guest has armed (PUE-V-101).
    pub fn armed(&self) -> (Classes, Features) {
        (self.armed, self.features)
    }

    /// What the guest that runs now was offered.
    pub fn offered(&self) -> Option<Offer> {
        self.offered
    }

    /// The state of a connector; `None` if there is none with this index.
    pub fn state(&self, index: DrcIndex) -> Option<State> {
        self.topology.connector(index).map(|(connector, _)| connector.state)
    }

    /// The device behind a connector.
    pub fn device(&self, index: DrcIndex) -> Option<Device> {
        self.topology.connector(index)?.1.map(|plugged| plugged.device)
    }

    fn transition(&mut self, index: DrcIndex, input: Input, events: &mut impl Events) -> Status {
        let Some((connector, plugged)) = self.topology.connector(index) else { return Status::NO_SUCH_INDICATOR };
        let device = plugged.map(|plugged| plugged.device);
        let after = step(connector, input);
        if after.state != connector.state {
            self.topology.set_state(index, after.state);
        }
        match (after.effect, device) {
            (Effect::Hint, Some(device)) => self.hint(device, index, events),
            (Effect::Taken, Some(device)) => self.taken(device),
            (Effect::GivenBack, Some(device)) => self.given_back(device, events),
            _ => {}
        }
        after.status
    }

    /// PUE-V-040, PUE-V-041
    fn hint(&mut self, device: Device, connector: DrcIndex, events: &mut impl Events) {
        let armed = self.armed.contains(Classes::of(device.resource));
        let Some(request) = self.ledger.oldest(device.connectors.first()) else { return };
        request.hint.get_or_insert(connector);
        if !armed {
            let request = *request;
            self.close(&request, inferred(request.hint.unwrap_or(connector)), events);
        }
    }

    /// PUE-V-061: a guest that takes a connector again, with nothing asked of it, keeps the device.
    fn taken(&mut self, device: Device) {
        if let Some(plugged) = self.topology.device_mut(device.connectors.first()) {
            plugged.wanted &= plugged.open > 0;
        }
    }

    /// PUE-V-060
    fn given_back(&mut self, device: Device, events: &mut impl Events) {
        let plugged = self.topology.device(device.connectors.first());
        if plugged.is_some_and(|plugged| plugged.held == 0 && plugged.wanted) {
            self.release(device, events);
        }
    }

    fn release(&mut self, device: Device, events: &mut impl Events) {
        let first = device.connectors.first();
        for request in self.ledger.close_all_of(first) {
            events.tell(ended(&request, End::Released));
        }
        self.topology.unplug(first);
        events.tell(Event::Deleted(device));
    }

    fn close(&mut self, request: &Request, end: End, events: &mut impl Events) {
        self.ledger.close(request.id);
        self.count_open(request.device, -1);
        events.tell(ended(request, end));
    }

    pub(crate) fn count_open(&mut self, device: Device, change: i32) {
        if let Some(plugged) = self.topology.device_mut(device.connectors.first()) {
            plugged.open = plugged.open.saturating_add_signed(change);
        }
    }

    fn make_ready(&mut self, device: Device) {
        if let Some(kind) = Kind::of(device.resource) {
            device.connectors.indexes().for_each(|index| self.topology.set_state(index, kind.ready()));
        }
    }
}

/// The classes whose hot plug events may carry a token (PUE-V-025).
pub(crate) const TOKENS: Classes = Classes::IN_KERNEL;

fn ended(request: &Request, end: End) -> Event {
    Event::Ended(Outcome { request: request.id, device: request.device, end })
}

fn inferred(connector: DrcIndex) -> End {
    let (reason, errno) = (Reason::UNATTRIBUTED, Errno(0));
    End::Refused(Refusal { connector, reason, errno, evidence: Evidence::Inferred })
}

fn sense(state: State, is_occupied: bool) -> EntitySense {
    match state {
        State::LogicalUnusable => EntitySense::UNUSABLE,
        State::LogicalAvailable | State::LogicalUnisolate | State::LogicalConfigured => EntitySense::PRESENT,
        State::PhysicalPowerOn | State::PhysicalUnisolate | State::PhysicalConfigured if is_occupied => {
            EntitySense::PRESENT
        }
        State::PhysicalPowerOn | State::PhysicalUnisolate | State::PhysicalConfigured => EntitySense::EMPTY,
    }
}

/// What this crate does beyond the least, and so can offer.
const FEATURES: Features = Features::TOKEN.union(Features::STARTED);

/// Makes the offer of a VMM: reports on `indicator`, for `classes` and `features`; `None` if the indicator is not one of
/// LoPAR's vendor indicators (PUE-V-002), or if this crate does not know a feature.
pub fn offer(indicator: Indicator, classes: Classes, features: Features) -> Option<Offer> {
    let cells = [indicator.0, u32::from(classes.0), u32::from(features.0)];
    let offer = Offer { indicator: cells[0].into(), classes: cells[1].into(), features: cells[2].into() };
    (Indicator::VENDOR.contains(&indicator.0) && FEATURES.contains(features)).then_some(offer)
}
