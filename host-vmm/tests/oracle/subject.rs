// SPDX-License-Identifier: MIT OR Apache-2.0

//! Crate under test, compared with the reference after every action.

use super::{
    action::{Action, Input},
    expected::{Expected, Oracle},
    host::{self, offer},
    machine::{BOUND, BOUND_OF_DEVICE, DEVICES, VACANT, index, plan, span},
    stream::stream,
};
use papr_unplug::{
    Config, Tracker,
    event::{self, Outcome, RequestId, Requested},
    foreign::Foreign,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features, Offer},
        rtas::EntitySense,
        token::Token,
    },
};
use papr_unplug_model::{
    lopar,
    machine::Device,
    reference::{self, Reference},
    vmm::Event,
};
use std::collections::{BTreeMap, BTreeSet};

/// The crate, and what it has told so far: tokens, and outcomes.
#[derive(Clone, Debug)]
pub struct Subject {
    pub tracker: Tracker,
    /// The crate's token for each of the reference's.
    tokens: BTreeMap<Token, Token>,
    ended: BTreeSet<u64>,
    outcomes: Vec<Outcome>,
    saved: Option<Vec<u8>>,
}

impl Subject {
    /// Returns the crate with every connector, and nothing plugged.
    pub fn new(configured: Option<Offer>) -> Self {
        Self::with(machine(configured, &[]), BTreeMap::new())
    }

    /// Returns the crate in the state of a reference, restored from a stream that the tests write.
    pub fn of(reference: &Reference) -> Self {
        let mut tracker = machine(reference.config.offer, &plugged(reference));
        assert_eq!(tracker.restore(&stream(reference), &mut ()), Ok(()));
        let tokens = reference.requests.iter().map(|request| request.token).filter(|token| token.is_some());
        Self::with(tracker, tokens.map(|token| (token, token)).collect())
    }

    fn with(tracker: Tracker, tokens: BTreeMap<Token, Token>) -> Self {
        Self { tracker, tokens, ended: BTreeSet::new(), outcomes: Vec::new(), saved: None }
    }

    /// Applies an action to the crate, and compares it with the reference after the same action.
    pub fn apply(&mut self, action: Action, oracle: &Oracle) {
        let came_out = self.take(action, oracle);
        assert_eq!(came_out, Expected { words: None, transition: None, ..oracle.expected.clone() }, "{action:?}");
        self.compare(&oracle.reference);
        is_possible(&self.tracker);
    }

    fn take(&mut self, action: Action, oracle: &Oracle) -> Expected {
        let reference = &oracle.reference;
        let mut out = Expected::default();
        let mut events: Vec<event::Event> = Vec::new();
        let mut asked: Vec<Requested> = Vec::new();
        match action {
            Action::Plug(device) => out.accepted = Some(self.tracker.plug(span(plan(device))).is_ok()),
            Action::Boot(device) => self.tracker.boot(first(device)),
            Action::Unplug(device) => {
                out.accepted = Some(self.tracker.unplug(first(device), &mut events));
            }
            Action::Request(device) => {
                let made = self.tracker.request(first(device), &mut events);
                let is_next = made.is_ok_and(|made| made.id() == RequestId(reference.last));
                assert!(made.is_err() || is_next, "an id was used twice or skipped");
                out.accepted = Some(made.is_ok());
                asked.extend(made.ok());
            }
            Action::Withhold(device) => {
                let made = self.tracker.withhold(first(device), &mut events);
                out.accepted = Some(made.is_ok());
                asked.extend(made.ok());
            }
            Action::Together(one, last) => {
                let made = self.tracker.request_together(&[first(one), first(last)], &mut events);
                out.accepted = Some(made.is_ok());
                // Events tell what was released at once, before the hot plug events are sent.
                asked.extend(made.into_iter().flatten());
            }
            Action::Withdraw(place) => {
                let open = self.tracker.requests();
                let id = open.get(usize::from(place) % open.len().max(1)).map_or(RequestId(0), |request| request.id);
                out.accepted = Some(self.tracker.withdraw(id, &mut events).is_ok());
            }
            Action::Move(place, Input::Configure) => {
                out.status = Some(self.tracker.configure(index(place), &mut events));
            }
            Action::Move(place, Input::Configured) => {
                let index = index(place);
                let may = self.tracker.is_configurable(index);
                let status = self.tracker.configured(index);
                assert_eq!(may, status.is_success());
                out.status = Some(status);
            }
            Action::Sense(place) => {
                let (status, sense) = self.tracker.get_sensor_state(&[EntitySense::SENSOR, index(place).0]);
                out.status = Some(status);
                out.sense = status.is_success().then_some(sense);
            }
            Action::Move(..) | Action::Report(..) | Action::Words(_) | Action::Word(..) => {
                let (mut words, token) = oracle.expected.words.expect("the reference made words of it");
                words[2] |= u32::from(self.tokens.get(&token).unwrap_or(&token).0);
                let before = self.tracker.state(DrcIndex(words[1]));
                let answer = self.tracker.set_indicator(&words, &mut events);
                let changed = answer.change.map(|change| (change.connector.0, Some(change.from)));
                let is_told = answer.change.is_none_or(|change| change.from != change.to);
                assert!(is_told && changed.is_none_or(|changed| changed == (words[1], before)), "{answer:?}");
                out.status = Some(answer.status);
            }
            Action::Reset => self.tracker.reset(&mut events),
            Action::Cas => self.tracker.cas(&mut events),
            Action::Snapshot => self.saved = Some(self.tracker.save()),
            Action::Load => out.accepted = self.load(&mut events),
            Action::Offer(_) => self.tracker.set_offer(reference.config.offer.map(offer), &mut events),
            Action::Migrate => self.migrate(reference),
            Action::Import { detached } => self.import(reference, detached),
        }
        out.events = events.into_iter().map(|event| self.told(event)).collect();
        // Events tell what was released at once, before the hot plug events are sent.
        out.events.extend(asked.into_iter().filter_map(|made| self.asked(made, &oracle.expected)));
        out
    }

    /// Returns the hot plug event of a request that was made.
    fn asked(&mut self, made: Requested, expected: &Expected) -> Option<Event> {
        let Requested::Ask(ask) = made else { return None };
        let is_plain = ask.section().as_ref().len() == 20;
        assert_eq!(is_plain, !ask.token.is_some(), "PUE-V-021, PUE-V-022");
        let theirs = expected.events.iter().find_map(|event| match event {
            Event::Hotplug(request, _, token) if *request == ask.request.0 => Some(*token),
            _ => None,
        });
        let theirs = theirs.filter(|token| token.is_some() && ask.token.is_some()).unwrap_or(ask.token);
        // A device that is asked for together with another may have been asked for before.
        if ask.token.is_some() && self.tokens.get(&theirs) != Some(&ask.token) {
            let is_new = self.tokens.values().all(|given| *given != ask.token);
            assert!(is_new && ask.token.0 < 0x8000, "PUE-V-024: {} was given before", ask.token);
            self.tokens.insert(theirs, ask.token);
        }
        Some(Event::Hotplug(ask.request.0, host::device(ask.device), theirs))
    }

    fn load(&mut self, events: &mut Vec<event::Event>) -> Option<bool> {
        let (saved, before) = (self.saved.clone()?, self.tracker.save());
        let is_taken = self.tracker.restore(&saved, events).is_ok();
        assert!(is_taken || self.tracker.save() == before, "a load that failed has changed something");
        Some(is_taken)
    }

    fn told(&mut self, event: event::Event) -> Event {
        if let event::Event::Ended(outcome) = event {
            let request = outcome.request.0;
            assert!(self.ended.insert(request), "PUE-V-100: request {request} ended twice");
            self.outcomes.push(outcome);
        }
        host::event(event)
    }

    /// PUE-V-080, PUE-V-081: another VMM goes on with the saved state, and all that follows is compared as before.
    fn migrate(&mut self, reference: &Reference) {
        let stream = self.tracker.save();
        // A VMM that takes no reports cannot go on with a guest that was offered some.
        let mut twin = machine(reference.config.offer, &plugged(reference));
        assert_eq!(twin.restore(&stream, &mut ()), Ok(()));
        assert!(stream.len() <= twin.max_saved_len(), "PUE-V-088");
        assert_eq!(twin.save(), stream, "saved again it is another state");
        self.tracker = twin;
    }

    /// PUE-V-082, PUE-V-083
    fn import(&mut self, reference: &Reference, detached: bool) {
        let mut marks = Vec::new();
        for device in plugged(reference) {
            for index in device.connectors() {
                let state = self.tracker.state(index).map_or(0, |state| u32::from(state.number()));
                let unplug_requested = self.tracker.is_unplug_requested(index);
                let empty = u32::from(lopar::empty(device.resource));
                let ready = u32::from(lopar::configured(device.resource));
                let is_unsaid =
                    (detached && unplug_requested && state == empty) || (!unplug_requested && state == ready);
                if !is_unsaid {
                    marks.push(Foreign { index, state, unplug_requested });
                }
            }
        }
        let last = self.tracker.save();
        let mut twin = machine(reference.config.offer, &plugged(reference));
        // Ids that were given must not be given again; tokens may be (PUE-V-034).
        let mut events: Vec<event::Event> = Vec::new();
        assert_eq!(twin.restore(&last, &mut ()).map(|()| twin.import(&marks, &mut events)), Ok(Ok(())));
        self.tokens.clear();
        for event in events {
            self.told(event);
        }
        self.tracker = twin;
    }

    /// All that the crate shows is what the reference has.
    fn compare(&self, reference: &Reference) {
        for &reference::Connector { index, state, .. } in &reference.connectors {
            assert_eq!(self.tracker.state(index).map(|state| state.number()), Some(state), "{index}");
        }
        for index in reference.connectors.iter().map(|connector| connector.index) {
            let device = reference.device(index).map(|plugged| plugged.device);
            assert_eq!(self.tracker.device(index).map(host::device), device, "{index}");
            let is_asked = device.is_some_and(|device| reference.open_of(device).next().is_some());
            assert_eq!(self.tracker.is_unplug_requested(index), is_asked, "PUE-V-083: {index}");
        }
        let shown = self.tracker.requests().iter().map(|request| reference::Request {
            id: request.id.0,
            device: host::device(request.device),
            token: request.token,
            promised: request.promised,
            started: request.started,
            withheld: request.withheld,
            imported: request.imported,
            hint: request.hint,
        });
        let ours = |token: Token| self.tokens.get(&token).copied().unwrap_or(token);
        let expected = reference.requests.iter().map(|one| reference::Request { token: ours(one.token), ..*one });
        assert!(shown.eq(expected), "{:?}\n{:?}", self.tracker.requests(), reference.requests);
        assert_eq!(self.tracker.armed(), (reference.armed, reference.features));
        assert_eq!(self.tracker.offered(), reference.offered.map(offer));
        let is_quiet = reference.armed.is_empty() && reference.plugged.iter().all(|plugged| !plugged.wanted);
        let keeps_ids = reference.last > 0 && (reference.config.offer.is_some() || reference.offered.is_some());
        assert_eq!(self.tracker.is_plain(), is_quiet && !keeps_ids, "PUE-V-086");
        let last = self.outcomes.iter().skip(self.outcomes.len().saturating_sub(Tracker::KEPT_OUTCOMES));
        assert!(self.tracker.outcomes().eq(last), "PUE-V-104");
    }

    /// PUE-V-080: whatever state it has come to, another VMM can restore it, and saves the same.
    pub fn check_saved(&self, reference: &Reference) {
        let stream = self.tracker.save();
        let mut twin = machine(reference.config.offer, &plugged(reference));
        assert_eq!(twin.restore(&stream, &mut ()), Ok(()), "a state that no VMM can restore");
        assert_eq!(twin.save(), stream);
    }
}

/// Checks that a machine can come to this state.
pub fn is_possible(tracker: &Tracker) {
    let requests = tracker.requests();
    assert!(requests.len() <= BOUND, "PUE-V-052");
    let tokens: Vec<_> = requests.iter().filter(|request| request.token.is_some()).collect();
    let unique: BTreeSet<_> = tokens.iter().map(|request| request.token).collect();
    assert_eq!(unique.len(), tokens.len(), "PUE-V-023");
    let ids: BTreeSet<_> = requests.iter().map(|request| request.id).collect();
    assert_eq!(ids.len(), requests.len(), "PUE-V-020");
    let (armed, features) = tracker.armed();
    for request in requests {
        let class = Classes::of(request.device.resource);
        let can_promise = request.token.is_some() && armed.contains(class) && features.contains(Features::TOKEN);
        assert!(!request.promised || can_promise, "PUE-V-026: {request:?}");
        assert!(request.hint.is_none() || request.promised, "PUE-V-016, PUE-V-040: {request:?}");
        let is_asked = request.token.is_some() || request.started || request.imported;
        assert!(!request.withheld || !is_asked, "PUE-V-055: {request:?}");
        assert!(request.hint.is_none_or(|hint| request.device.connectors.contains(hint)), "{request:?}");
        let is_held = |index| tracker.state(index).is_some_and(|state| !state.is_given_back());
        assert!(request.device.connectors.indexes().any(is_held), "PUE-V-060: {request:?}");
        assert_eq!(tracker.device(request.device.connectors.first()), Some(request.device));
    }
}

/// Returns a machine with these devices, which the guest has not taken.
pub fn machine(configured: Option<Offer>, devices: &[Device]) -> Tracker {
    let config = Config::default().offer(configured.map(offer)).max_open(BOUND).max_open_per_device(BOUND_OF_DEVICE);
    let mut tracker = Tracker::new(config);
    for device in DEVICES.into_iter().chain([VACANT]) {
        tracker.add_connectors(device.resource, span(device)).expect("a connector is new");
    }
    devices.iter().for_each(|device| tracker.plug(span(*device)).expect("a connector is free"));
    tracker
}

/// Returns the devices that are plugged.
pub fn plugged(reference: &Reference) -> Vec<Device> {
    reference.plugged.iter().map(|plugged| plugged.device).collect()
}

/// Returns the first connector of the device that a number chooses.
fn first(device: u8) -> DrcIndex {
    plan(device).first
}
