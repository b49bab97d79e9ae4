// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reference VMM: `spec/vmm-conformance.md`, clause by clause, without regard to speed.
//!
//! The machine may have any devices. [`Config`] says what it offers and how many requests it takes, [`Mutants`] which
//! rules it breaks. Each call notes the clauses that decided something, in [`Reference::clauses`].

mod connector;
mod lifecycle;
mod plugged;
mod report;

use crate::{
    lopar,
    machine::Device,
    mutant::{Mutant, Mutants},
    vmm::{Effects, Event, Outcome, RequestId, Source, Taker},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::Resource,
    offer::{Classes, Features, Offer},
    reason::Reason,
    report::Errno,
    token::Token,
};

/// The configuration of a VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The offer to guests from their next boot on.
    pub offer: Option<Offer>,
    /// The number of requests that may be open.
    pub max_open: usize,
    /// The number of requests for one device that may be open.
    pub max_open_per_device: usize,
}

/// The state of the reference VMM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The configuration.
    pub config: Config,
    /// The offer to the guest that runs now.
    pub offered: Option<Offer>,
    /// The classes that the guest has armed.
    pub armed: Classes,
    /// The features that the guest has armed.
    pub features: Features,
    /// Every connector.
    pub connectors: Vec<Connector>,
    /// Every device.
    pub plugged: Vec<Plugged>,
    /// The open requests, the oldest first.
    pub requests: Vec<Request>,
    /// The identity that was given last.
    pub last: RequestId,
    /// The number of tokens that were given since the last import, in the order 1 to 65535 and from 1 again.
    pub tokens: u64,
    broken: Mutants,
    /// The clauses that decided something in the last call.
    pub clauses: Clauses,
}

/// A DR connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connector {
    /// The kind of resource.
    pub resource: Resource,
    /// The DRC index.
    pub index: DrcIndex,
    /// LoPAR's number of the state.
    pub state: u8,
}

/// A device that is plugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plugged {
    /// The device.
    pub device: Device,
    /// True if the removal is wanted: giving the device back completes it, however late (PUE-V-061).
    pub wanted: bool,
    /// True if a hint has ended a request of an armed class, and the report is still to come (PUE-V-043).
    pub report_follows: bool,
}

/// A request without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The identity.
    pub id: RequestId,
    /// The device to remove.
    pub device: Device,
    /// The token; [`Token::NONE`] for none.
    pub token: Token,
    /// True if the guest has promised to answer.
    pub promised: bool,
    /// True if the guest has begun.
    pub started: bool,
    /// True if the guest was not asked yet.
    pub withheld: bool,
    /// True if the request came from a VMM that knows level 0 only.
    pub imported: bool,
    /// The connector of the first hint, while the request is promised.
    pub hint: Option<DrcIndex>,
}

/// The occupant of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occupant {
    /// No device.
    Nobody,
    /// A device whose removal is not wanted.
    Kept,
    /// A device whose removal is wanted, without an open request.
    Wanted,
    /// A device with an open request.
    Asked,
}

/// A set of clauses of the VMM: bit n stands for PUE-V-n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Clauses(u128);

impl Clauses {
    /// Adds every clause of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Returns the numbers of the clauses, the lowest first.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u128::BITS).filter(move |number| self.0 & (1 << number) != 0)
    }
}

impl Request {
    /// Returns a request without a token.
    pub fn new(id: RequestId, device: Device) -> Self {
        let (token, hint) = (Token::NONE, None);
        Self { id, device, token, promised: false, started: false, withheld: false, imported: false, hint }
    }

    fn inferred(&self, connector: DrcIndex) -> Event {
        let connector = self.hint.unwrap_or(connector);
        let (reason, errno, source) = (Reason::UNATTRIBUTED, Errno(0), Source::Inferred);
        self.ended(Outcome::Refused { connector, reason, errno, source })
    }

    fn ended(&self, outcome: Outcome) -> Event {
        Event::Outcome(Some(self.id), self.device, outcome)
    }
}

impl Reference {
    /// Returns a VMM with the connectors of these devices, none of which is plugged.
    pub fn new(config: Config, devices: impl IntoIterator<Item = Device>) -> Self {
        let of = |device: Device| device.connectors().map(move |index| (device.resource, index));
        let connector = |(resource, index)| Connector { resource, index, state: lopar::empty(resource) };
        Self {
            config,
            offered: config.offer,
            armed: Classes::empty(),
            features: Features::empty(),
            connectors: devices.into_iter().flat_map(of).map(connector).collect(),
            plugged: Vec::new(),
            requests: Vec::new(),
            last: 0,
            tokens: 0,
            broken: Mutants::default(),
            clauses: Clauses::default(),
        }
    }

    /// Returns the same VMM, which breaks these rules.
    pub fn breaking(mut self, broken: Mutants) -> Self {
        self.broken = broken;
        self
    }

    /// Returns the device behind a connector.
    pub fn device(&self, index: DrcIndex) -> Option<Plugged> {
        self.plugged.iter().copied().find(|plugged| plugged.device.has(index))
    }

    /// Returns the open requests for a device, the oldest first.
    pub fn open_of(&self, device: Device) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| request.device == device)
    }

    /// Returns what is behind a connector.
    pub fn occupant(&self, index: DrcIndex) -> Occupant {
        match self.device(index) {
            None => Occupant::Nobody,
            Some(plugged) if !plugged.wanted => Occupant::Kept,
            Some(plugged) if self.open_of(plugged.device).next().is_none() => Occupant::Wanted,
            Some(_) => Occupant::Asked,
        }
    }

    /// Returns the connector with this index.
    pub fn connector(&self, index: DrcIndex) -> Option<Connector> {
        self.connectors.iter().copied().find(|connector| connector.index == index)
    }

    /// Asks for a device (`device_del`).
    pub fn request(&mut self, device: Device) -> Effects {
        self.begin();
        let mut effects = Effects::default();
        effects.asked = Some(match self.room_for(&[device]) {
            Err(error) => Err(error),
            Ok(()) if self.breaks(Mutant::RejectRepeat) && self.open_of(device).next().is_some() => {
                Err("a removal request for this device is open")
            }
            Ok(()) => Ok(self.ask(device, &mut effects)),
        });
        if self.breaks(Mutant::DetachReleasedLmb) && effects.asked.is_some_and(|asked| asked.is_ok()) {
            let held = self.held(device).count();
            if held > 0 && held < device.count as usize {
                effects.abort = Some("device_del of a partly released DIMM");
            }
        }
        effects
    }

    /// Asks for a device that goes only together with another one (PUE-V-055).
    pub fn withhold(&mut self, device: Device) -> Effects {
        self.begin();
        let mut effects = Effects::default();
        effects.asked = Some(self.room_for(&[device]).map(|()| {
            self.by(55);
            let id = self.next_id();
            self.set_wanted(device, true);
            if self.held(device).next().is_none() {
                self.release_at_once(id, device, &mut effects);
            } else {
                self.requests.push(Request { withheld: true, ..Request::new(id, device) });
            }
            id
        }));
        effects
    }

    /// Asks for two devices that go together, the named one last (PUE-V-056).
    pub fn together(&mut self, [other, named]: [Device; 2]) -> Effects {
        self.begin();
        let mut effects = Effects::default();
        if other == named {
            effects.asked = Some(Err("a device is named twice"));
            return effects;
        }
        let is_open = self.open_of(other).next().is_some();
        let made: &[Device] = if is_open { &[named] } else { &[other, named] };
        let room = self.room_for(made);
        if room.is_err() && is_open && self.breaks(Mutant::HalfTogether) {
            self.ask_along(other, &mut effects);
        }
        effects.asked = Some(room.map(|()| {
            self.by(56);
            if is_open {
                self.ask_along(other, &mut effects);
            } else {
                self.ask(other, &mut effects);
            }
            self.ask(named, &mut effects)
        }));
        // The hot plug events are sent after what is told of devices that go at once.
        effects.events.sort_by_key(|event| matches!(event, Event::Hotplug(..)));
        effects
    }

    /// Withdraws a request (PUE-V-057).
    pub fn withdraw(&mut self, id: RequestId) -> Effects {
        self.begin();
        self.by(57);
        let mut effects = Effects::default();
        let found = self.requests.iter().position(|request| request.id == id);
        effects.asked = Some(found.map_or(Err("no such request is open"), |at| {
            let request = self.requests.remove(at);
            self.tell(&mut effects, request.ended(Outcome::Withdrawn));
            if self.breaks(Mutant::KeepWithdrawnDevice) && self.open_of(request.device).next().is_none() {
                self.set_wanted(request.device, false);
            }
            Ok(id)
        }));
        effects
    }

    /// PUE-V-052
    fn room_for(&mut self, devices: &[Device]) -> Result<(), &'static str> {
        if devices.iter().any(|device| !self.is_plugged(*device)) {
            return Err("there is no such device");
        }
        let is_full = |device: &Device| self.open_of(*device).count() >= self.config.max_open_per_device;
        if devices.iter().any(is_full) || self.requests.len() + devices.len() > self.config.max_open {
            self.by(52);
            return Err("too many removal requests are open");
        }
        Ok(())
    }

    /// PUE-V-020 to PUE-V-026, PUE-V-050, PUE-V-051, PUE-V-053, PUE-V-054
    fn ask(&mut self, device: Device, effects: &mut Effects) -> RequestId {
        self.by(20);
        self.by(if self.open_of(device).next().is_some() { 50 } else { 51 });
        self.withhold_no_longer(device);
        let id = self.next_id();
        self.set_wanted(device, true);
        let held = self.held(device).count();
        if held == 0 {
            self.release_at_once(id, device, effects);
            return id;
        }
        if held < device.count as usize {
            self.by(53);
        }
        let token = self.token_for(device);
        let promised = token.is_some();
        self.requests.push(Request { token, promised, ..Request::new(id, device) });
        self.tell(effects, Event::Hotplug(id, device, token));
        id
    }

    /// PUE-V-054
    fn release_at_once(&mut self, id: RequestId, device: Device, effects: &mut Effects) {
        self.by(54);
        self.tell(effects, Request::new(id, device).ended(Outcome::Released));
        // What was open would have been released before.
        self.release(device, 1, effects);
    }

    /// PUE-V-021, PUE-V-022, PUE-V-025
    fn token_for(&mut self, device: Device) -> Token {
        let is_armed = self.armed.contains(device.class()) && self.features.contains(Features::TOKEN);
        self.by(if is_armed { 21 } else { 22 });
        if Classes::IN_USER_SPACE.contains(device.class()) {
            self.by(25);
        }
        if is_armed { self.next_token() } else { Token::NONE }
    }

    /// PUE-V-056, PUE-V-058: sends the hot plug events of a device that has open requests.
    fn ask_along(&mut self, device: Device, effects: &mut Effects) {
        let open: Vec<Request> = self.open_of(device).copied().collect();
        let mut unasked: Vec<RequestId> = open.iter().filter(|one| one.withheld).map(|one| one.id).collect();
        if unasked.is_empty() && open.iter().all(|one| !one.promised) {
            unasked.extend(open.last().map(|newest| newest.id));
        }
        for id in unasked {
            self.by(58);
            let token = self.token_for(device);
            let given = if self.breaks(Mutant::AnnounceWithoutToken) { Token::NONE } else { token };
            let Some(request) = self.requests.iter_mut().find(|request| request.id == id) else { continue };
            request.withheld = false;
            if given.is_some() {
                (request.token, request.promised, request.imported) = (given, true, false);
            }
            self.tell(effects, Event::Hotplug(id, device, given));
        }
    }

    fn withhold_no_longer(&mut self, device: Device) {
        self.requests.iter_mut().filter(|request| request.device == device).for_each(|one| one.withheld = false);
    }

    fn next_id(&mut self) -> RequestId {
        self.last += 1;
        self.last
    }

    /// PUE-V-023, PUE-V-024
    fn next_token(&mut self) -> Token {
        if self.breaks(Mutant::ReuseToken) && self.tokens > 0 {
            return Token(1);
        }
        loop {
            let token = Token((self.tokens % u64::from(u16::MAX)) as u16 + 1);
            self.tokens += 1;
            if self.requests.iter().all(|request| request.token != token) {
                return token;
            }
        }
    }

    /// PUE-V-060: `before` requests have ended with the device already.
    fn release(&mut self, device: Device, before: u32, effects: &mut Effects) {
        let most = if self.breaks(Mutant::ReleaseClosesOne) { 1 } else { usize::MAX };
        let ended = self.take_requests(most, |_, request| request.device == device);
        for request in &ended {
            self.tell(effects, request.ended(Outcome::Released));
        }
        self.forget(device);
        self.tell(effects, Event::Deleted(device, Taker::Guest, before + ended.len() as u32));
    }

    /// Takes up to `most` requests that a rule wants, given each one's place and the request, out of the open ones.
    fn take_requests(&mut self, most: usize, is_wanted: impl Fn(usize, &Request) -> bool) -> Vec<Request> {
        let (mut place, mut taken) = (0, Vec::new());
        self.requests.retain(|request| {
            let is_taken = taken.len() < most && is_wanted(place, request);
            place += 1;
            taken.extend(is_taken.then_some(*request));
            !is_taken
        });
        taken
    }

    fn breaks(&self, mutant: Mutant) -> bool {
        self.broken.contain(mutant)
    }

    fn begin(&mut self) {
        self.clauses = Clauses::default();
    }

    fn by(&mut self, clause: u32) {
        self.clauses.0 |= 1 << clause;
    }

    /// PUE-V-100
    fn tell(&mut self, effects: &mut Effects, event: Event) {
        self.by(100);
        effects.events.push(event);
    }
}
