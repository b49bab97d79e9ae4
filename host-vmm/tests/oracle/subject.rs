// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate, compared with the reference after every action.

use super::{
    action::{Action, Input},
    lopar,
    machine::{BOUND, DEVICES, Plan, VACANT},
    reference::{Connector, Expected, How, Reference, Told, index, indexes_of, plan},
    stream::stream,
};
use papr_unplug::{
    Config, Span, Tracker,
    event::{End, Event, Evidence, RequestId},
    foreign::Foreign,
    offer,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features, Offer},
        rtas::{EntitySense, Indicator},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// The crate, and the tokens that it has given so far.
#[derive(Clone, Debug)]
pub struct Subject {
    pub tracker: Tracker,
    tokens: BTreeMap<u64, u16>,
    ended: BTreeSet<u64>,
}

impl Subject {
    /// Every connector, nothing plugged.
    pub fn new(configured: Option<(u32, u16, u8)>) -> Self {
        Self { tracker: machine(configured, &[]), tokens: BTreeMap::new(), ended: BTreeSet::new() }
    }

    /// The crate in the state of a reference, as it comes out of a stream that was written by hand.
    pub fn of(reference: &Reference) -> Self {
        let mut tracker = machine(reference.configured, &plugged(reference));
        assert_eq!(tracker.restore(&stream(reference, |request| request as u16)), Ok(()));
        let tokens = reference.requests.iter().filter(|request| request.token);
        Self {
            tracker,
            tokens: tokens.map(|request| (request.id, request.id as u16)).collect(),
            ended: BTreeSet::new(),
        }
    }

    /// Lets the crate have the action, and compares with the reference that has had it.
    pub fn apply(&mut self, action: Action, reference: &Reference) {
        let expected = &reference.expected;
        let came_out = self.take(action, reference);
        assert_eq!(came_out, Expected { words: None, transition: None, ..expected.clone() }, "{action:?}");
        self.compare(reference);
        is_possible(&self.tracker);
    }

    fn take(&mut self, action: Action, reference: &Reference) -> Expected {
        let mut out = Expected::default();
        let mut events: Vec<Event> = Vec::new();
        match action {
            Action::Plug(device) => out.accepted = Some(self.tracker.plug(span(plan(device))).is_ok()),
            Action::Boot(device) => self.tracker.boot(DrcIndex(plan(device).1)),
            Action::Unplug(device) => {
                out.accepted = Some(self.tracker.unplug(DrcIndex(plan(device).1), &mut events));
            }
            Action::Request(device) => {
                let made = self.tracker.request(DrcIndex(plan(device).1), &mut events);
                assert!(made.is_err() || made == Ok(RequestId(reference.asked)), "a name was used twice or skipped");
                out.accepted = Some(made.is_ok());
            }
            Action::Move(place, Input::Configure) => {
                out.status = Some(self.tracker.configure(DrcIndex(index(place)), &mut events).0);
            }
            Action::Move(place, Input::Configured) => {
                let index = DrcIndex(index(place));
                let may = self.tracker.is_configurable(index);
                let status = self.tracker.configured(index);
                assert_eq!(may, status.is_success());
                out.status = Some(status.0);
            }
            Action::Sense(place) => {
                let (status, sense) = self.tracker.get_sensor_state(&[EntitySense::SENSOR, index(place)]);
                out.status = Some(status.0);
                out.sense = status.is_success().then_some(sense.0);
            }
            Action::Move(..) | Action::Report(..) | Action::Words(_) | Action::Word(..) => {
                let (mut words, of) = reference.expected.words.expect("the reference made words of it");
                words[2] |= of.map_or(0, |request| u32::from(self.tokens[&request]));
                out.status = Some(self.tracker.set_indicator(&words, &mut events).0);
            }
            Action::Reset => self.tracker.reset(&mut events),
            Action::Offer(_) => self.tracker.set_offer(reference.configured.map(terms), &mut events),
            Action::Migrate => self.migrate(reference),
            Action::Import { detached } => self.import(reference, detached),
        }
        out.told = events.into_iter().map(|event| self.told(event)).collect();
        out
    }

    fn told(&mut self, event: Event) -> Told {
        match event {
            Event::Ask(ask) => {
                let token = ask.token.is_some();
                let is_plain = ask.section().as_ref().len() == 20;
                assert_eq!(is_plain, !token, "PUE-V-021, PUE-V-022");
                if token {
                    let is_new = self.tokens.values().all(|given| *given != ask.token.0);
                    assert!(is_new && ask.token.0 < 0x8000, "PUE-V-024: {} was given before", ask.token);
                    self.tokens.insert(ask.request.0, ask.token.0);
                }
                Told::Ask { request: ask.request.0, device: known(ask.device.connectors), token }
            }
            Event::Deleted(device) => Told::Deleted { device: known(device.connectors) },
            Event::Ended(outcome) => {
                let request = outcome.request.0;
                assert!(self.ended.insert(request), "PUE-V-100: request {request} ended twice");
                match outcome.end {
                    End::Released => Told::Released { request },
                    End::Reset => Told::Reset { request },
                    End::Refused(refusal) => Told::Refused {
                        request,
                        connector: refusal.connector.0,
                        reason: refusal.reason.0,
                        errno: refusal.errno.0,
                        how: match refusal.evidence {
                            Evidence::Token => How::Token,
                            Evidence::Order => How::Order,
                            Evidence::Inferred => How::Inferred,
                        },
                    },
                }
            }
        }
    }

    /// PUE-V-080, PUE-V-081: another VMM goes on with the saved state, and everything that follows is compared as before.
    fn migrate(&mut self, reference: &Reference) {
        let stream = self.tracker.save();
        // A VMM that takes no reports cannot go on with a guest that was offered some.
        let mut twin = machine(reference.configured, &plugged(reference));
        assert_eq!(twin.restore(&stream), Ok(()));
        assert_eq!(twin.save(), stream, "saved again it is another state");
        self.tracker = twin;
    }

    /// PUE-V-082, PUE-V-083
    fn import(&mut self, reference: &Reference, detached: bool) {
        let mut marks = Vec::new();
        for device in plugged(reference) {
            for index in indexes_of(device).map(DrcIndex) {
                let state = self.tracker.state(index).map_or(0, |state| u32::from(state.number()));
                let unplug_requested = self.tracker.is_unplug_requested(index);
                let (empty, ready) = lopar::ends(super::machine::is_physical(device.0));
                let is_unsaid = (detached && unplug_requested && state == u32::from(empty))
                    || (!unplug_requested && state == u32::from(ready));
                if !is_unsaid {
                    marks.push(Foreign { index, state, unplug_requested });
                }
            }
        }
        let last = self.tracker.save();
        let mut twin = machine(reference.configured, &plugged(reference));
        // Only the names that were given must not be given again.
        assert_eq!(twin.restore(&last).map(|()| twin.import(&marks)), Ok(Ok(())));
        self.tracker = twin;
    }

    /// All that the crate shows is what the reference has.
    fn compare(&self, reference: &Reference) {
        for &Connector { index, state, .. } in &reference.connectors {
            assert_eq!(self.tracker.state(DrcIndex(index)).map(|state| state.number()), Some(state), "{index:#x}");
        }
        for index in reference.connectors.iter().map(|connector| connector.index) {
            let device = reference.device(index).map(|device| device.plan);
            let shown = self.tracker.device(DrcIndex(index)).map(|device| known(device.connectors));
            assert_eq!(shown, device, "{index:#x}");
            let is_asked = device.is_some_and(|device| reference.open(device).next().is_some());
            assert_eq!(self.tracker.is_unplug_requested(DrcIndex(index)), is_asked, "PUE-V-083: {index:#x}");
        }
        let shown = self.tracker.requests().iter().map(|request| super::reference::Request {
            id: request.id.0,
            device: known(request.device.connectors),
            token: request.token.is_some(),
            promised: request.promised,
            started: request.started,
            hint: request.hint.map(|hint| hint.0),
        });
        assert!(
            shown.eq(reference.requests.iter().copied()),
            "{:?}\n{:?}",
            self.tracker.requests(),
            reference.requests
        );
        assert_eq!(self.tracker.armed(), (Classes(reference.armed), Features(reference.features)));
        assert_eq!(self.tracker.offered(), reference.offered.map(terms));
        let is_plain = reference.armed == 0 && reference.plugged.iter().all(|device| !device.wanted);
        assert_eq!(self.tracker.is_plain(), is_plain);
    }

    /// PUE-V-080: whatever state it has come to, another VMM can restore it, and saves the same.
    pub fn check_saved(&self, reference: &Reference) {
        let stream = self.tracker.save();
        let mut twin = machine(reference.configured, &plugged(reference));
        assert_eq!(twin.restore(&stream), Ok(()), "a state that no VMM can restore");
        assert_eq!(twin.save(), stream);
    }
}

/// Panics if no machine can come to this.
pub fn is_possible(tracker: &Tracker) {
    let requests = tracker.requests();
    assert!(requests.len() <= BOUND, "PUE-V-052");
    let tokens: Vec<_> = requests.iter().filter(|request| request.token.is_some()).collect();
    let unique: BTreeSet<_> = tokens.iter().map(|request| request.token).collect();
    assert_eq!(unique.len(), tokens.len(), "PUE-V-023");
    assert!(requests.is_sorted_by(|one, next| one.id < next.id), "the oldest is not first");
    let (armed, _) = tracker.armed();
    for request in requests {
        let class = Classes::of(request.device.resource);
        assert!(!request.promised || (request.token.is_some() && armed.contains(class)), "PUE-V-026: {request:?}");
        assert!(request.hint.is_none() || armed.contains(class), "PUE-V-016: {request:?}");
        assert!(request.hint.is_none_or(|hint| request.device.connectors.contains(hint)), "{request:?}");
        let is_held = |index| tracker.state(index).is_some_and(|state| !state.is_given_back());
        assert!(request.device.connectors.indexes().any(is_held), "PUE-V-060: {request:?}");
        assert_eq!(tracker.device(request.device.connectors.first()), Some(request.device));
    }
}

/// A machine with these devices, which the guest has not taken.
pub fn machine(offer: Option<(u32, u16, u8)>, devices: &[Plan]) -> Tracker {
    let mut tracker = Tracker::new(Config { offer: offer.map(terms), max_open: BOUND });
    for (resource, first, count) in DEVICES {
        tracker.add_connectors(Resource(resource), span((resource, first, count))).expect("a connector is new");
    }
    tracker.add_connectors(Resource(VACANT.0), DrcIndex(VACANT.1).into()).expect("a connector is new");
    devices.iter().for_each(|device| tracker.plug(span(*device)).expect("a connector is free"));
    tracker
}

fn plugged(reference: &Reference) -> Vec<Plan> {
    reference.plugged.iter().map(|device| device.plan).collect()
}

fn terms((indicator, classes, features): (u32, u16, u8)) -> Offer {
    offer(Indicator(indicator), Classes(classes), Features(features)).expect("the offers are in the vendor range")
}

/// The connectors of a device.
pub fn span((_, first, count): Plan) -> Span {
    Span::new(DrcIndex(first), count).expect("a device has connectors")
}

fn known(span: Span) -> Plan {
    let found = DEVICES.into_iter().find(|(_, first, count)| (*first, *count) == (span.first().0, span.count()));
    found.expect("the crate speaks of a device that was plugged")
}
