// SPDX-License-Identifier: MIT OR Apache-2.0

//! Crate under test, compared with the reference after every action.

use super::{
    action::{Action, Input},
    lopar,
    machine::{BOUND, BOUND_OF_DEVICE, DEVICES, Plan, VACANT},
    reference::{Connector, Expected, How, Reference, Told, index, indexes_of, plan},
    stream::stream,
};
use papr_unplug::{
    Config, Offer, Span, Tracker,
    event::{Cause, End, Event, Evidence, Outcome, RequestId, Requested},
    foreign::Foreign,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{EntitySense, Indicator},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// The crate, and what it has told so far: tokens, and outcomes.
#[derive(Clone, Debug)]
pub struct Subject {
    pub tracker: Tracker,
    tokens: BTreeMap<u64, u16>,
    ended: BTreeSet<u64>,
    outcomes: Vec<Outcome>,
    saved: Option<Vec<u8>>,
}

impl Subject {
    /// Returns the crate with every connector, and nothing plugged.
    pub fn new(configured: Option<(u32, u16, u8)>) -> Self {
        Self {
            tracker: machine(configured, &[]),
            tokens: BTreeMap::new(),
            ended: BTreeSet::new(),
            outcomes: Vec::new(),
            saved: None,
        }
    }

    /// Returns the crate in the state of a reference, restored from a stream that the tests write.
    pub fn of(reference: &Reference) -> Self {
        let mut tracker = machine(reference.configured, &plugged(reference));
        assert_eq!(tracker.restore(&stream(reference, |request| request as u16), &mut ()), Ok(()));
        let tokens = reference.requests.iter().filter(|request| request.token);
        Self {
            tracker,
            tokens: tokens.map(|request| (request.id, request.id as u16)).collect(),
            ended: BTreeSet::new(),
            outcomes: Vec::new(),
            saved: None,
        }
    }

    /// Applies an action to the crate, and compares it with the reference after the same action.
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
                let made = self.tracker.request(first(device), &mut events);
                let is_next = made.is_ok_and(|made| made.id() == RequestId(reference.asked));
                assert!(made.is_err() || is_next, "an id was used twice or skipped");
                out.accepted = Some(made.is_ok());
                out.told.extend(made.ok().and_then(|made| self.asked(made)));
            }
            Action::Withhold(device) => {
                let made = self.tracker.withhold(first(device), &mut events);
                out.accepted = Some(made.is_ok());
                out.told.extend(made.ok().and_then(|made| self.asked(made)));
            }
            Action::Together(one, last) => {
                let made = self.tracker.request_together(&[first(one), first(last)], &mut events);
                out.accepted = Some(made.is_ok());
                // Events tell what was released at once, before the hot plug events are sent.
                out.told.extend(made.into_iter().flatten().filter_map(|made| self.asked(made)));
            }
            Action::Withdraw(place) => {
                let open = self.tracker.requests();
                let id = open.get(usize::from(place) % open.len().max(1)).map_or(RequestId(0), |request| request.id);
                out.accepted = Some(self.tracker.withdraw(id, &mut events).is_ok());
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
                let before = self.tracker.state(DrcIndex(words[1]));
                let answer = self.tracker.set_indicator(&words, &mut events);
                let changed = answer.change.map(|change| (change.connector.0, Some(change.from)));
                let is_told = answer.change.is_none_or(|change| change.from != change.to);
                assert!(is_told && changed.is_none_or(|changed| changed == (words[1], before)), "{answer:?}");
                out.status = Some(answer.status.0);
            }
            Action::Reset => self.tracker.reset(&mut events),
            Action::Cas => self.tracker.cas(&mut events),
            Action::Snapshot => self.saved = Some(self.tracker.save()),
            Action::Load => out.accepted = self.load(&mut events),
            Action::Offer(_) => self.tracker.set_offer(reference.configured.map(terms), &mut events),
            Action::Migrate => self.migrate(reference),
            Action::Import { detached } => self.import(reference, detached),
        }
        let asked = std::mem::take(&mut out.told);
        out.told = events.into_iter().map(|event| self.told(event)).chain(asked).collect();
        out
    }

    /// The hot plug event of a request that was made.
    fn asked(&mut self, made: Requested) -> Option<Told> {
        let ask = match made {
            Requested::Ask(ask) => ask,
            Requested::Withheld(id) => return Some(Told::Withheld { request: id.0 }),
            _ => return None,
        };
        let token = ask.token.is_some();
        let is_plain = ask.section().as_ref().len() == 20;
        assert_eq!(is_plain, !token, "PUE-V-021, PUE-V-022");
        // A device that is asked for together with another may have been asked for before.
        if token && self.tokens.get(&ask.request.0) != Some(&ask.token.0) {
            let is_new = self.tokens.values().all(|given| *given != ask.token.0);
            assert!(is_new && ask.token.0 < 0x8000, "PUE-V-024: {} was given before", ask.token);
            self.tokens.insert(ask.request.0, ask.token.0);
        }
        Some(Told::Ask { request: ask.request.0, device: known(ask.device.connectors), token })
    }

    fn load(&mut self, events: &mut Vec<Event>) -> Option<bool> {
        let (saved, before) = (self.saved.clone()?, self.tracker.save());
        let is_taken = self.tracker.restore(&saved, events).is_ok();
        assert!(is_taken || self.tracker.save() == before, "a load that failed has changed something");
        // Requests that go on may have other ids.
        let tokens = self.tracker.requests().iter().filter(|request| request.token.is_some());
        self.tokens.extend(tokens.map(|request| (request.id.0, request.token.0)));
        Some(is_taken)
    }

    fn told(&mut self, event: Event) -> Told {
        match event {
            Event::Deleted(gone) => Told::Deleted {
                device: known(gone.device.connectors),
                by: match gone.by {
                    Cause::Guest => 1,
                    Cause::Reset => 2,
                    Cause::Cas => 3,
                    other => panic!("{other:?}"),
                },
                requests: gone.requests,
            },
            Event::Ended(outcome) => {
                let request = outcome.request.0;
                assert!(self.ended.insert(request), "PUE-V-100: request {request} ended twice");
                self.outcomes.push(outcome);
                match outcome.end {
                    End::Released => Told::Released { request },
                    End::Reset => Told::Reset { request },
                    End::Cas => Told::Cas { request },
                    End::Removed => Told::Removed { request },
                    End::Withdrawn => Told::Withdrawn { request },
                    End::Load => Told::Load { request },
                    End::Refused(refusal) => Told::Refused {
                        request,
                        connector: refusal.connector.0,
                        reason: refusal.reason.0,
                        errno: refusal.errno.0,
                        how: match refusal.evidence {
                            Evidence::Token => How::Token,
                            Evidence::Order => How::Order,
                            Evidence::Inferred => How::Inferred,
                            other => panic!("{other:?}"),
                        },
                    },
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// PUE-V-080, PUE-V-081: another VMM goes on with the saved state, and everything that follows is compared as before.
    fn migrate(&mut self, reference: &Reference) {
        let stream = self.tracker.save();
        // A VMM that takes no reports cannot go on with a guest that was offered some.
        let mut twin = machine(reference.configured, &plugged(reference));
        assert_eq!(twin.restore(&stream, &mut ()), Ok(()));
        assert!(stream.len() <= twin.max_saved_len(), "PUE-V-088");
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
        // Ids that were given must not be given again; tokens may be (PUE-V-034).
        let mut events: Vec<Event> = Vec::new();
        assert_eq!(twin.restore(&last, &mut ()).map(|()| twin.import(&marks, &mut events)), Ok(Ok(())));
        self.tokens.clear();
        for event in events {
            self.told(event);
        }
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
            withheld: request.withheld,
            imported: request.imported,
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
        let is_quiet = reference.armed == 0 && reference.plugged.iter().all(|device| !device.wanted);
        let keeps_ids = reference.asked > 0 && (reference.configured.is_some() || reference.offered.is_some());
        assert_eq!(self.tracker.is_plain(), is_quiet && !keeps_ids, "PUE-V-086");
        let last = self.outcomes.iter().skip(self.outcomes.len().saturating_sub(Tracker::KEPT_OUTCOMES));
        assert!(self.tracker.outcomes().eq(last), "PUE-V-104");
    }

    /// PUE-V-080: whatever state it has come to, another VMM can restore it, and saves the same.
    pub fn check_saved(&self, reference: &Reference) {
        let stream = self.tracker.save();
        let mut twin = machine(reference.configured, &plugged(reference));
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
pub fn machine(offer: Option<(u32, u16, u8)>, devices: &[Plan]) -> Tracker {
    let config = Config::default().offer(offer.map(terms)).max_open(BOUND).max_open_per_device(BOUND_OF_DEVICE);
    let mut tracker = Tracker::new(config);
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
    Offer::new(Indicator(indicator), Classes(classes), Features(features)).expect("the offers are in the vendor range")
}

/// Returns the first connector of the device that a number chooses.
fn first(device: u8) -> DrcIndex {
    DrcIndex(plan(device).1)
}

/// Returns the connectors of a device.
pub fn span((_, first, count): Plan) -> Span {
    Span::new(DrcIndex(first), count).expect("a device has connectors")
}

fn known(span: Span) -> Plan {
    let found = DEVICES.into_iter().find(|(_, first, count)| (*first, *count) == (span.first().0, span.count()));
    found.expect("the crate speaks of a device that was plugged")
}
