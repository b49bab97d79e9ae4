// SPDX-License-Identifier: MIT OR Apache-2.0

//! Properties of the world, which no sequence of actions may violate.

use crate::{
    guest::Module,
    machine::{Device, slot},
    violation::{Property, Violation},
    vmm::{Event, Input, Open, Outcome, RequestId, Source, Vmm},
    world::{Knowledge, Truth, World, place},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    rtas::{Indicator, IsolationState},
};

/// Every property with the clauses that it stands for.
pub const ALL: &[(Property, &str, &[&str])] = &[
    (
        Property::ExactlyOnce,
        "one outcome for each request",
        &["PUE-V-020", "PUE-V-031", "PUE-V-060", "PUE-V-070", "PUE-V-080", "PUE-G-037"],
    ),
    (
        Property::Attribution,
        "a refusal is charged to the request that was refused",
        &[
            "PUE-V-023",
            "PUE-V-030",
            "PUE-V-032",
            "PUE-V-033",
            "PUE-V-034",
            "PUE-V-041",
            "PUE-V-055",
            "PUE-G-022",
            "PUE-G-032",
            "PUE-G-038",
        ],
    ),
    (
        Property::NoSilence,
        "no silence while promised",
        &[
            "PUE-V-021",
            "PUE-V-036",
            "PUE-V-037",
            "PUE-V-040",
            "PUE-V-081",
            "PUE-V-082",
            "PUE-G-030",
            "PUE-G-031",
            "PUE-G-034",
            "PUE-G-040",
            "PUE-G-041",
            "PUE-G-050",
            "PUE-G-070",
        ],
    ),
    (Property::NoTheft, "nothing is taken that the guest still holds", &["PUE-V-062"]),
    (Property::NoGhost, "what is given back is deleted", &["PUE-V-057", "PUE-V-060", "PUE-V-061", "PUE-V-064"]),
    (
        Property::NoStranding,
        "a device can always be given back later",
        &["PUE-V-053", "PUE-V-054", "PUE-V-063", "PUE-V-064", "PUE-V-065", "PUE-V-067"],
    ),
    (Property::NoWedge, "a retry is always accepted", &["PUE-V-050", "PUE-V-051"]),
    (Property::NoAbort, "the VMM never aborts", &["PUE-V-053"]),
    (
        Property::TruePromise,
        "a promise is shown only where one was made",
        &["PUE-V-016", "PUE-V-026", "PUE-V-071", "PUE-G-010", "PUE-G-016", "PUE-G-018", "PUE-G-060"],
    ),
    (
        Property::NoStale,
        "the guest is asked only for devices whose removal is wanted, and begins only with what it has not answered",
        &["PUE-V-074", "PUE-V-075", "PUE-G-071"],
    ),
];

/// Violations that the exploration of the stock rules must find.
pub const STOCK_DEFECTS: &[(&str, Violation)] = &[
    (
        "duplicate event: one refusal of a DIMM is told twice",
        Violation::new(Property::ExactlyOnce, "an event without a request: one refusal is told twice"),
    ),
    (
        "ghost CPU: refused, then released, and never deleted",
        Violation::new(Property::NoGhost, "a device that was given back on request stays plugged"),
    ),
    (
        "partial-release abort: one LMB released, the DIMM refused, asked for again",
        Violation::new(Property::NoAbort, "spapr_drc_unplug_request: assertion failed: (drc->dev)"),
    ),
    (
        "migration abort: a DIMM's removal pending, migrated, refused",
        Violation::new(Property::NoAbort, "spapr_memory_unplug_rollback: assertion failed: (ds)"),
    ),
    (
        "silent first LMB: the guest refuses and no outcome is told",
        Violation::new(Property::NoSilence, "the guest has refused and no outcome is told"),
    ),
    (
        "misattributed refusal: charged to a request that was not refused",
        Violation::new(Property::Attribution, "a refusal is charged to a request that was not refused"),
    ),
    (
        "lost LMB: removed inside the guest, and the DIMM can never go",
        Violation::new(Property::NoStranding, "a guest that gives all back cannot get rid of it"),
    ),
    (
        "wedge: a retry after the silent refusal is turned away",
        Violation::new(Property::NoWedge, "a retry is turned away"),
    ),
];

impl<V: Vmm> World<V> {
    /// Checks an outcome that is told.
    pub(crate) fn tell(
        &mut self,
        request: Option<RequestId>,
        device: Device,
        outcome: Outcome,
    ) -> Result<(), Violation> {
        let once = |how| Err(Violation::new(Property::ExactlyOnce, how));
        // A VMM without request names: the user charges an event to the oldest device_del that has none.
        let named = request.map(place);
        let oldest = || self.cases.iter().position(|case| case.device == device && case.outcome.is_none());
        let Some(case) = named.or_else(oldest).and_then(|at| self.cases.get_mut(at)) else {
            return match outcome {
                Outcome::Refused { .. } => once("an event without a request: one refusal is told twice"),
                _ => Ok(()),
            };
        };
        if case.outcome.is_some() {
            return once("a second outcome for one request");
        }
        case.outcome = Some(outcome);
        let case = *case;
        if case.withheld && matches!(outcome, Outcome::Refused { .. }) {
            let how = "a refusal is charged to a request that the guest was not asked for";
            return Err(Violation::new(Property::Attribution, how));
        }
        if let (Some(id), Outcome::Refused { source: Source::Token, .. }) = (request, outcome) {
            let is_passed = |older: &&mut Knowledge| older.device == device && !older.promised && !older.withheld;
            let older = self.cases.iter_mut().take(place(id)).filter(is_passed);
            older.filter(|older| older.outcome.is_none()).for_each(|older| older.passed_over = true);
        }
        let is_reported = matches!(outcome, Outcome::Refused { source: Source::Token | Source::Order, .. });
        if is_reported && self.about.is_some_and(|about| request != Some(about)) {
            return Err(Violation::new(Property::Attribution, "a report with a token is charged to another request"));
        }
        if request.is_none() && !matches!(outcome, Outcome::Refused { .. }) {
            for other in self.cases.iter_mut().filter(|case| case.device == device && case.outcome.is_none()) {
                other.outcome = Some(outcome);
            }
        }
        match outcome {
            Outcome::Refused { connector, source, .. } => check_refusal(&case, connector, source, request.is_none()),
            _ => Ok(()),
        }
    }

    /// Checks the deletion of a device.
    pub(crate) fn check_deleted(&self, device: Device, cause: Input) -> Result<(), Violation> {
        let held = device.connectors().any(|connector| self.guest.held[slot(connector)]);
        if held && cause != Input::Reset {
            return Err(Violation::new(Property::NoTheft, "a device is deleted that the guest still holds"));
        }
        Ok(())
    }

    /// Checks what the user sees after every step.
    pub(crate) fn check_user(&self) -> Result<(), Violation> {
        for (case, open) in self.cases.iter().enumerate().filter(|(_, case)| case.outcome.is_none()) {
            if !self.vmm.present(open.device) {
                return Err(Violation::new(Property::ExactlyOnce, "a request stays open although its device is gone"));
            }
            let listed = self.vmm.open();
            let known = |id: usize| listed.iter().any(|open| place(open.request) == id);
            if V::NAMES_REQUESTS && !known(case) {
                return Err(Violation::new(Property::ExactlyOnce, "a request is forgotten without an outcome"));
            }
        }
        let is_as_shown =
            |open: &Open| self.cases.get(place(open.request)).is_none_or(|case| case.withheld == open.withheld);
        if !self.vmm.open().iter().all(is_as_shown) {
            let how = "a request is shown as withheld that is not, or not shown as such";
            return Err(Violation::new(Property::TruePromise, how));
        }
        let promise = |id: RequestId| self.cases.get(place(id)).is_some_and(|case| case.promised);
        let excused = self.guest.promise_orphaned;
        if !excused && self.vmm.open().iter().any(|open| open.promised && !promise(open.request)) {
            return Err(Violation::new(Property::TruePromise, "an answer is promised that will not come"));
        }
        Ok(())
    }

    /// Checks what holds when the guest has nothing left to do.
    pub fn check_idle(&self) -> Result<(), Violation> {
        if !self.guest.is_idle() {
            return Ok(());
        }
        for case in self.cases.iter().filter(|case| case.outcome.is_none()) {
            self.check_answered(case)?;
        }
        for device in self.devices.iter().copied().filter(|device| self.vmm.present(*device)) {
            self.check_given_back(device)?;
            self.check_retry(device)?;
        }
        Ok(())
    }

    fn check_answered(&self, case: &Knowledge) -> Result<(), Violation> {
        let silence = |how| Err(Violation::new(Property::NoSilence, how));
        if case.promised {
            return silence("a promised answer never comes");
        }
        if case.passed_over {
            return silence("a request stays open that the guest has passed over");
        }
        let refused = matches!(case.truth, Truth::Refused(_));
        // A VMM that names no requests is measured by every promise, although it made none.
        if !V::NAMES_REQUESTS && refused {
            return silence("the guest has refused and no outcome is told");
        }
        let alone = self.cases.iter().filter(|other| other.device == case.device).count() == 1;
        if alone && case.hinted && !self.guest.promise_orphaned {
            return silence("a hint about a request that is not promised is swallowed");
        }
        if alone && refused && case.observed && self.guest.module != Module::Absent {
            return silence("the module saw a refusal and no outcome is told");
        }
        Ok(())
    }

    fn check_given_back(&self, device: Device) -> Result<(), Violation> {
        let all = |given: &dyn Fn(DrcIndex) -> bool| device.connectors().all(given);
        let given_back = all(&|connector| !self.guest.held[slot(connector)] && !self.vmm.usable(connector));
        let on_request = self.cases.iter().any(|case| case.device == device && case.truth == Truth::Done);
        if given_back && on_request {
            return Err(Violation::new(Property::NoGhost, "a device that was given back on request stays plugged"));
        }
        Ok(())
    }

    /// Checks that the device goes if the user asks once more and the guest releases all that it holds.
    fn check_retry(&self, device: Device) -> Result<(), Violation> {
        let mut vmm = self.vmm.clone();
        let effects = vmm.step(Input::DeviceDel(device));
        if let Some(site) = effects.abort {
            return Err(Violation::new(Property::NoAbort, site));
        }
        let decided = |case: &Knowledge| case.device != device || case.outcome.is_some() || case.truth != Truth::Open;
        if matches!(effects.asked, Some(Err(_))) && self.cases.iter().all(decided) {
            return Err(Violation::new(Property::NoWedge, "a retry is turned away"));
        }
        if matches!(effects.asked, Some(Err(_))) {
            return Ok(());
        }
        let mut deleted =
            effects.events.iter().any(|event| matches!(event, Event::Deleted(gone, ..) if *gone == device));
        for connector in device.connectors().filter(|connector| self.guest.held[slot(*connector)]) {
            let isolate = IsolationState::ISOLATE.0;
            for (indicator, value) in [(Indicator::ISOLATION_STATE, isolate), (Indicator::ALLOCATION_STATE, 0)] {
                let effects = vmm.step(Input::SetIndicator(indicator, connector, value));
                deleted |=
                    effects.events.iter().any(|event| matches!(event, Event::Deleted(gone, ..) if *gone == device));
            }
        }
        if !deleted {
            return Err(Violation::new(Property::NoStranding, "a guest that gives all back cannot get rid of it"));
        }
        Ok(())
    }
}

fn check_refusal(case: &Knowledge, connector: DrcIndex, source: Source, unnamed: bool) -> Result<(), Violation> {
    let wrong = |how| Err(Violation::new(Property::Attribution, how));
    let refused = matches!(case.truth, Truth::Refused(_) | Truth::Dropped);
    if unnamed && !refused {
        return wrong("a refusal is charged to a request that was not refused");
    }
    if source != Source::Token && case.promised {
        return wrong("a refusal is guessed although a report by token was promised");
    }
    let at = match case.truth {
        Truth::Refused(connector) => Some(connector),
        Truth::Dropped => Some(case.device.first),
        Truth::Open | Truth::Done | Truth::Lost => None,
    };
    let incomplete = case.truth == Truth::Done;
    if source == Source::Token && !incomplete && at != Some(connector) {
        return wrong("a report is charged to a request that it is not about");
    }
    Ok(())
}
