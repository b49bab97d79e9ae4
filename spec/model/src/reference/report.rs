// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reports to the reference VMM: arming, and answers to requests.

use super::{Reference, Request};
use crate::{
    mutant::Mutant,
    vmm::{Effects, Outcome, Source},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features},
    reason::Reason,
    report::{Errno, Report, Word},
    rtas::Status,
    token::Token,
};

impl Reference {
    /// PUE-V-010 to PUE-V-017
    pub(super) fn report(&mut self, index: DrcIndex, word: Word) -> Effects {
        self.begin();
        self.by(11);
        let Some(report) = word.report() else {
            self.by(12);
            return Effects::status(Status::MALFORMED);
        };
        match report {
            Report::Arm { .. } | Report::Disarm if index != DrcIndex(0) => {
                self.by(14);
                Effects::status(Status::WRONG_CONNECTOR)
            }
            Report::Arm { classes, features } => {
                self.by(15);
                let is_offered = |offer: papr_unplug_wire::wire::offer::Offer| {
                    offer.classes().contains(classes) && offer.features().contains(features)
                };
                if !self.offered.is_some_and(is_offered) {
                    return Effects::status(Status::NOT_OFFERED);
                }
                self.arm(classes, features)
            }
            Report::Disarm => self.arm(Classes::empty(), Features::empty()),
            Report::Started { token } | Report::Refused { token, .. } | Report::Done { token } => {
                self.answer(index, token, report)
            }
        }
    }

    /// PUE-V-015, PUE-V-016, PUE-V-043
    pub(super) fn arm(&mut self, classes: Classes, features: Features) -> Effects {
        let mut effects = Effects::status(Status::SUCCESS);
        let lost_token = self.features.difference(features).contains(Features::TOKEN);
        let lost = if lost_token && !self.breaks(Mutant::KeepPromiseWithoutToken) {
            self.armed
        } else {
            self.armed.difference(classes)
        };
        (self.armed, self.features) = (classes, features);
        self.plugged.iter_mut().for_each(|plugged| plugged.report_follows = false);
        if self.breaks(Mutant::KeepHintOnDisarm) {
            return effects;
        }
        if !lost.is_empty() {
            self.by(16);
        }
        let is_lost = |request: &Request| lost.contains(request.device.class());
        self.requests.iter_mut().filter(|request| is_lost(request)).for_each(|request| request.promised = false);
        for request in self.take_requests(usize::MAX, |_, request| is_lost(request) && request.hint.is_some()) {
            effects.events.push(request.inferred(request.device.first));
        }
        effects
    }

    /// PUE-V-017, PUE-V-030 to PUE-V-039
    fn answer(&mut self, index: DrcIndex, token: Token, report: Report) -> Effects {
        let Some(connector) = self.connector(index) else {
            self.by(14);
            return Effects::status(Status::WRONG_CONNECTOR);
        };
        if !self.armed.contains(Classes::of(connector.resource)) {
            self.by(17);
            return Effects::status(Status::NOT_ARMED);
        }
        if let Some(plugged) = self.device(index).filter(|plugged| plugged.report_follows) {
            self.set_report_follows(plugged.device, false);
            if !token.is_some() && !matches!(report, Report::Started { .. }) {
                self.by(43);
                return Effects::status(Status::ALREADY);
            }
        }
        let Some(at) = self.about(index, token) else {
            self.by(31);
            return self.answer_again(index, report);
        };
        let request = self.requests[at];
        if !request.device.has(index) {
            self.by(35);
            return Effects::status(Status::WRONG_CONNECTOR);
        }
        let source = if token.is_some() && request.token == token { Source::Token } else { Source::Order };
        let held = self.held(request.device).next();
        let refusal = match report {
            Report::Started { .. } => {
                self.by(38);
                self.requests[at].started = true;
                None
            }
            Report::Refused { reason, errno, .. } => {
                self.by(30);
                self.by(39);
                Some((index, reason, errno))
            }
            _ if self.breaks(Mutant::IgnoreDone) => None,
            _ => {
                self.by(36);
                held.map(|held| (held, Reason::INCOMPLETE, Errno(0)))
            }
        };
        let mut effects = Effects::status(Status::SUCCESS);
        if let Some((connector, reason, errno)) = refusal {
            self.requests.remove(at);
            self.pass_over(at, &request, index, &mut effects);
            self.tell(&mut effects, request.ended(Outcome::Refused { connector, reason, errno, source }));
            if self.breaks(Mutant::HealOnRefusal) {
                self.set_all(request.device, crate::lopar::configured(request.device.resource));
            }
        }
        effects
    }

    /// PUE-V-032 to PUE-V-034: returns the place of the request that a report is about.
    fn about(&mut self, index: DrcIndex, token: Token) -> Option<usize> {
        let (ignores_token, matches_tokenless) =
            (self.breaks(Mutant::IgnoreToken), self.breaks(Mutant::MatchTokenless));
        let charges_stale = self.breaks(Mutant::ChargeStaleToken);
        let is_given = u64::from(token.0) <= self.tokens;
        let mine = |request: &Request| request.device.has(index) && !request.withheld;
        if ignores_token || (matches_tokenless && !token.is_some()) {
            return self.requests.iter().position(mine);
        }
        let named = self.requests.iter().position(|request| token.is_some() && request.token == token);
        if named.is_some() {
            self.by(32);
            return named;
        }
        if !token.is_some() {
            self.by(33);
            return self.requests.iter().position(|request| mine(request) && !request.promised);
        }
        self.by(34);
        if charges_stale {
            return self.requests.iter().position(|request| mine(request) && !request.token.is_some());
        }
        if is_given {
            return None;
        }
        self.requests.iter().position(|request| mine(request) && request.imported)
    }

    /// PUE-V-031
    fn answer_again(&mut self, index: DrcIndex, report: Report) -> Effects {
        let effects = Effects::status(Status::ALREADY);
        match (report, self.device(index)) {
            (Report::Refused { reason, errno, .. }, Some(plugged))
                if self.breaks(Mutant::RepeatOutcome) && self.last > 0 =>
            {
                let outcome = Outcome::Refused { connector: index, reason, errno, source: Source::Token };
                effects.and(Request::new(1, plugged.device).ended(outcome))
            }
            _ => effects,
        }
    }

    /// PUE-V-037: the guest answers in the order in which it was asked, so that it never answers a request that it did
    /// not promise and has passed over.
    fn pass_over(&mut self, before: usize, answered: &Request, index: DrcIndex, effects: &mut Effects) {
        if self.breaks(Mutant::KeepOlder) {
            return;
        }
        let is_passed = |other: &Request| other.device == answered.device && !other.promised && !other.withheld;
        for request in self.take_requests(usize::MAX, |place, other| place < before && is_passed(other)) {
            self.by(37);
            self.tell(effects, request.inferred(index));
        }
    }
}
