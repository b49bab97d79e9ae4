// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a report does: arming, and the answers to requests.

use super::{Request, Tracker, inferred};
use crate::{
    event::{Device, End, Event, Events, Evidence, Outcome, Refusal},
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features, Offer},
        reason::Reason,
        report::{Errno, Report},
        rtas::Status,
        token::Token,
    },
};

impl Tracker {
    /// PUE-V-010 to PUE-V-017
    pub(super) fn report(&mut self, index: DrcIndex, report: Report, events: &mut impl Events) -> Status {
        match report {
            Report::Arm { .. } | Report::Disarm if index != DrcIndex(0) => Status::WRONG_CONNECTOR,
            Report::Arm { classes, features } => {
                let (may, can) = self.offered().map_or((Classes::empty(), Features::empty()), terms);
                if !may.contains(classes) || !can.contains(features) {
                    return Status::NOT_OFFERED;
                }
                self.arm(classes, features, events)
            }
            Report::Disarm => self.arm(Classes::empty(), Features::empty(), events),
            Report::Started { token } => self.answer(index, token, events, |_, request, _| {
                request.started = true;
                None
            }),
            Report::Refused { token, reason, errno } => {
                self.answer(index, token, events, |_, _, connector| Some((connector, reason, errno)))
            }
            Report::Done { token } => self.answer(index, token, events, |tracker, request, _| {
                let held = tracker.topology.lowest_held(request.device)?;
                Some((held, Reason::INCOMPLETE, Errno(0)))
            }),
        }
    }

    /// PUE-V-015, PUE-V-016
    pub(super) fn arm(&mut self, classes: Classes, features: Features, events: &mut impl Events) -> Status {
        let withdrawn = self.armed.difference(classes);
        (self.armed, self.features) = (classes, features);
        let hinted: Vec<Request> = self.ledger.withdraw(withdrawn).collect();
        for request in hinted {
            let connector = request.hint.unwrap_or(request.device.connectors.first());
            self.close(&request, inferred(connector), events);
        }
        Status::SUCCESS
    }

    /// PUE-V-017, PUE-V-030 to PUE-V-038: finds the request that a report is about, and ends it if `decide` says so.
    fn answer(
        &mut self,
        index: DrcIndex,
        token: Token,
        events: &mut impl Events,
        decide: impl FnOnce(&Self, &mut Request, DrcIndex) -> Option<(DrcIndex, Reason, Errno)>,
    ) -> Status {
        let Some((resource, device)) = self.topology.behind(index) else { return Status::WRONG_CONNECTOR };
        if !self.armed.contains(Classes::of(resource)) {
            return Status::NOT_ARMED;
        }
        let Some(mut request) = self.ledger.about(device, token) else { return Status::ALREADY };
        if device != Some(request.device.connectors.first()) {
            return Status::WRONG_CONNECTOR;
        }
        let evidence = if token.is_some() && request.token == token { Evidence::Token } else { Evidence::Order };
        match decide(self, &mut request, index) {
            None => {
                if let Some(open) = self.ledger.get_mut(request.id) {
                    *open = request;
                }
            }
            Some((connector, reason, errno)) => {
                self.pass_over(request.device, &request, index, events);
                self.close(&request, End::Refused(Refusal { connector, reason, errno, evidence }), events);
            }
        }
        Status::SUCCESS
    }

    /// PUE-V-037: the guest answers in the order it was asked, so what it did not promise and has passed over it never
    /// answers.
    fn pass_over(&mut self, device: Device, answered: &Request, index: DrcIndex, events: &mut impl Events) {
        let mut passed: i32 = 0;
        for older in self.ledger.close_passed_over(device.connectors.first(), answered.id) {
            let end = inferred(older.hint.unwrap_or(index));
            events.tell(Event::Ended(Outcome { request: older.id, device, end }));
            passed = passed.saturating_add(1);
        }
        self.count_open(device, passed.saturating_neg());
    }
}

fn terms(offer: Offer) -> (Classes, Features) {
    (offer.classes(), offer.features())
}
