// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reports of the guest: arming, and answers to requests.

use super::{Request, Tracker, inferred};
use crate::{
    config::Offer,
    event::{Device, End, Events, Evidence, Refusal},
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        reason::Reason,
        report::{Errno, Report},
        rtas::Status,
        token::Token,
    },
};

impl Tracker {
    /// Handles a report (PUE-V-010 to PUE-V-017).
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
            Report::Started { token } => self.answer(index, token, true, events, |_, request, _| {
                request.started = true;
                None
            }),
            Report::Refused { token, reason, errno } => {
                self.answer(index, token, false, events, |_, _, connector| Some((connector, reason, errno)))
            }
            Report::Done { token } => self.answer(index, token, false, events, |tracker, request, _| {
                let held = tracker.topology.lowest_held(request.device)?;
                Some((held, Reason::INCOMPLETE, Errno(0)))
            }),
        }
    }

    /// Replaces the armed classes and features; no report about an earlier attempt follows (PUE-V-043). Ends the
    /// promises of classes that are no longer armed, and all promises if the feature TOKEN is no longer armed, because
    /// no report could answer them (PUE-V-015, PUE-V-016).
    pub(super) fn arm(&mut self, classes: Classes, features: Features, events: &mut impl Events) -> Status {
        let kept = if features.contains(Features::TOKEN) { classes } else { Classes::empty() };
        let withdrawn = self.armed.difference(kept);
        (self.armed, self.features) = (classes, features);
        self.ledger.withdraw_promises(withdrawn);
        self.topology.forget_echoes();
        while let Some(request) = self.ledger.take(|request| !request.promised && request.hint.is_some()) {
            let connector = request.hint.unwrap_or(request.device.connectors.first());
            self.end(&request, inferred(connector), events);
        }
        Status::SUCCESS
    }

    /// Finds the request that a report is about, and ends it if `decide` returns connector, reason and errno of a
    /// refusal (PUE-V-017, PUE-V-030 to PUE-V-038).
    fn answer(
        &mut self,
        index: DrcIndex,
        token: Token,
        is_start: bool,
        events: &mut impl Events,
        decide: impl FnOnce(&Self, &mut Request, DrcIndex) -> Option<(DrcIndex, Reason, Errno)>,
    ) -> Status {
        let Some((resource, device)) = self.topology.behind(index) else { return Status::WRONG_CONNECTOR };
        if !self.armed.contains(Classes::of(resource)) {
            return Status::NOT_ARMED;
        }
        // PUE-V-043: after a hint has ended a request, the report of the same refusal follows, perhaps without its
        // token.
        let echo = device.and_then(|first| self.topology.device_mut(first)).map(|plugged| &mut plugged.echo);
        if echo.is_some_and(core::mem::take) && !token.is_some() && !is_start {
            return Status::ALREADY;
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
                self.ledger.take(|open| open.id == request.id);
                self.end(&request, End::Refused(Refusal::new(connector, reason, errno, evidence)), events);
            }
        }
        Status::SUCCESS
    }

    /// Ends the requests that the guest has passed over: it answers in order, so it will not answer older requests that
    /// it has not promised (PUE-V-037).
    fn pass_over(&mut self, device: Device, answered: &Request, index: DrcIndex, events: &mut impl Events) {
        while let Some(older) = self.ledger.take_passed_over(device.connectors.first(), answered.id) {
            self.end(&older, inferred(older.hint.unwrap_or(index)), events);
        }
    }
}

fn terms(offer: Offer) -> (Classes, Features) {
    (offer.classes(), offer.features())
}
