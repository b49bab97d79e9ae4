// SPDX-License-Identifier: MIT OR Apache-2.0

//! Answer that the reference VMM of `spec/model` gives to an action.

use super::{
    action::{Action, Report, TokenChoice},
    machine::{DEVICES, OFFERS, VACANT, config, index, plan},
};
use papr_unplug::wire::{
    drc::DrcIndex,
    hotplug::Resource,
    offer::{Classes, Features, Offer},
    reason::Reason,
    report::{self, Errno},
    rtas::{EntitySense, Indicator, Status},
    token::Token,
};
use papr_unplug_model::{
    lopar,
    reference::{Clauses, Occupant, Reference},
    vmm::{Effects, Event, RequestId, Taker},
};
use std::collections::BTreeMap;

/// The reference, and the answer that it gave last.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub reference: Reference,
    pub expected: Expected,
    /// The clauses that decided something so far.
    pub clauses: Clauses,
    /// The tokens that were given since the last import, open or not.
    given: BTreeMap<RequestId, Token>,
    /// The state that was saved last.
    saved: Option<Box<Reference>>,
}

/// The effects that an action must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The words of the `set-indicator` call that it is, and the reference's token in them.
    pub words: Option<([u32; 3], Token)>,
    pub status: Option<Status>,
    pub sense: Option<EntitySense>,
    /// True if plugging, unplugging, asking or withdrawing succeeded.
    pub accepted: Option<bool>,
    pub events: Vec<Event>,
    /// The transition that it was: resource, state, occupant, input.
    pub transition: Option<(Resource, u8, Occupant, lopar::Input)>,
}

/// A token that is never given: histories are too short.
const NEVER: Token = Token(0xFFFF);

impl Oracle {
    /// Returns an oracle about a machine with every connector and nothing plugged.
    pub fn new(offer: Option<Offer>) -> Self {
        Self::of(Reference::new(config(offer), DEVICES.into_iter().chain([VACANT])))
    }

    /// Returns an oracle about a machine in this state.
    pub fn of(reference: Reference) -> Self {
        let tokens = reference.requests.iter().filter(|request| request.token.is_some());
        let given = tokens.map(|request| (request.id, request.token)).collect();
        Self { reference, expected: Expected::default(), clauses: Clauses::default(), given, saved: None }
    }

    /// Applies an action; `expected` then holds the effects that it must have.
    pub fn apply(&mut self, action: Action) {
        self.expected = Expected::default();
        let reference = &mut self.reference;
        match action {
            Action::Plug(device) => self.expected.accepted = Some(reference.plug(plan(device))),
            Action::Boot(device) => reference.boot(plan(device)),
            Action::Unplug(device) => {
                let mut effects = Effects::default();
                self.expected.accepted = Some(reference.unplug(plan(device), &mut effects));
                self.expect(effects);
            }
            Action::Request(device) => {
                let effects = reference.request(plan(device));
                self.expect(effects);
            }
            Action::Withhold(device) => {
                let effects = reference.withhold(plan(device));
                self.expect(effects);
            }
            Action::Together(one, last) => {
                let effects = reference.together([plan(one), plan(last)]);
                self.expect(effects);
            }
            Action::Withdraw(place) => {
                let open = &reference.requests;
                let id = open.get(usize::from(place) % open.len().max(1)).map_or(0, |request| request.id);
                let effects = reference.withdraw(id);
                self.expect(effects);
            }
            Action::Move(place, input) => {
                let (index, input) = (index(place), input.of_model());
                self.expected.words =
                    input.indicator().map(|(indicator, state)| ([indicator.0, index.0, state], Token::NONE));
                self.transition(index, input);
            }
            Action::Sense(place) => {
                self.expected.sense = reference.sense(index(place));
                let is_known = self.expected.sense.is_some();
                self.expected.status = Some(if is_known { Status::SUCCESS } else { Status::NO_SUCH_INDICATOR });
            }
            Action::Report(place, report) => self.report(index(place), report),
            Action::Words([indicator, index, word]) => self.words(Indicator(indicator), DrcIndex(index), word),
            Action::Word(place, word) => self.words(self.reports_on(), index(place), word),
            Action::Reset => {
                let effects = reference.reset(Taker::Reset);
                self.expect(effects);
            }
            Action::Offer(offer) => {
                let effects = reference.set_offer(offer.map(|place| OFFERS[usize::from(place) % OFFERS.len()]));
                self.expect(effects);
            }
            Action::Cas => {
                let effects = reference.reset(Taker::Cas);
                self.expect(effects);
            }
            Action::Migrate => {}
            Action::Snapshot => self.saved = Some(Box::new(reference.clone())),
            Action::Load => self.load(),
            Action::Import { .. } => {
                reference.import();
                self.given.clear();
            }
        }
        self.clauses.extend(self.reference.clauses);
    }

    fn load(&mut self) {
        let Some(saved) = &self.saved else { return };
        let loaded = self.reference.load(saved);
        self.expected.accepted = Some(loaded.is_some());
        if let Some(effects) = loaded {
            self.expected.events = effects.events;
            let tokens = self.reference.requests.iter().filter(|request| request.token.is_some());
            self.given.extend(tokens.map(|request| (request.id, request.token)));
        }
    }

    fn expect(&mut self, effects: Effects) {
        self.expected.status = effects.status;
        if effects.asked.is_some() {
            self.expected.accepted = effects.asked.map(|asked| asked.is_ok());
        }
        for event in &effects.events {
            match event {
                Event::Hotplug(request, _, token) if token.is_some() => {
                    self.given.insert(*request, *token);
                }
                _ => {}
            }
        }
        self.expected.events = effects.events;
    }

    fn reports_on(&self) -> Indicator {
        self.reference.offered.map_or(Indicator(9100), |offer| offer.indicator())
    }

    fn transition(&mut self, index: DrcIndex, input: lopar::Input) {
        let connector = self.reference.connector(index);
        let occupant = self.reference.occupant(index);
        self.expected.transition = connector.map(|connector| (connector.resource, connector.state, occupant, input));
        let effects = self.reference.transition(index, input);
        self.expect(effects);
    }

    fn words(&mut self, indicator: Indicator, index: DrcIndex, word: u32) {
        let reports = self.reference.offered.is_some_and(|offer| offer.indicator() == indicator);
        let names_a_request = matches!(word >> 29, 3..=5) && word & 0xFFFF != 0;
        // Which number a token has is the crate's to say; one from 0x8000 on is none of a short history.
        let word = if reports && names_a_request { word | 0x8000 } else { word };
        self.expected.words = Some(([indicator.0, index.0, word], Token::NONE));
        match lopar::Input::of(indicator, word) {
            Some(input) if !reports => self.transition(index, input),
            _ => {
                let effects = self.reference.set_indicator(indicator, index, word);
                self.expect(effects);
            }
        }
    }

    fn report(&mut self, index: DrcIndex, said: Report) {
        let named = |name| self.named(name);
        let (report, token) = match said {
            Report::Arm { classes, features } => {
                (report::Report::Arm { classes: Classes(classes), features: Features(features) }, Token::NONE)
            }
            Report::Disarm => (report::Report::Disarm, Token::NONE),
            Report::Started(name) => (report::Report::Started { token: Token::NONE }, named(name)),
            Report::Refused(name, reason, errno) => {
                let (reason, errno) = (Reason(reason & 31), Errno(errno));
                (report::Report::Refused { token: Token::NONE, reason, errno }, named(name))
            }
            Report::Done(name) => (report::Report::Done { token: Token::NONE }, named(name)),
        };
        let (indicator, word) = (self.reports_on(), report.word().0);
        self.expected.words = Some(([indicator.0, index.0, word], token));
        let effects = self.reference.set_indicator(indicator, index, word | u32::from(token.0));
        self.expect(effects);
    }

    fn named(&self, name: TokenChoice) -> Token {
        let requests = &self.reference.requests;
        let given = |id: RequestId| self.given.get(&id).copied().unwrap_or(NEVER);
        match name {
            TokenChoice::None => Token::NONE,
            TokenChoice::Never => NEVER,
            TokenChoice::Open(place) if requests.is_empty() => given(u64::from(place)),
            TokenChoice::Open(place) => given(requests[usize::from(place) % requests.len()].id),
            TokenChoice::Past(ago) => given(self.reference.last.saturating_sub(u64::from(ago))),
        }
    }
}
