// SPDX-License-Identifier: GPL-2.0-only

//! Hypervisor for the tests: the host crate, behind a firmware that can be busy or take no reports.

use papr_unplug::{
    event::{Ask, Event, Outcome, RequestId, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{EntitySense, Indicator, IsolationState, Status},
    },
    Config, Offer, Span, Tracker,
};
use papr_unplug_guest::logic::rtas::Rtas;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

/// A DIMM of two LMBs.
pub(crate) const DIMM: DrcIndex = DrcIndex(0x8000_0008);
/// The second LMB of [`DIMM`].
pub(crate) const SECOND: DrcIndex = DrcIndex(0x8000_0009);
/// A DIMM of one LMB.
pub(crate) const OTHER_DIMM: DrcIndex = DrcIndex(0x8000_0010);
/// A CPU core.
pub(crate) const CORE: DrcIndex = DrcIndex(0x1000_0008);

const REPORTS: Indicator = Indicator(9142);

/// The tracker of the host crate, and the events that it told.
pub(crate) struct Hypervisor {
    tracker: RefCell<Tracker>,
    events: RefCell<Vec<Event>>,
    /// Requests that the guest has not taken, oldest first.
    pub(crate) asks: RefCell<VecDeque<Ask>>,
    /// Outcomes of requests, oldest first.
    pub(crate) outcomes: RefCell<Vec<Outcome>>,
    /// Calls of the guest for which firmware was not busy.
    pub(crate) calls: RefCell<Vec<(u32, u32, u32)>>,
    /// The number of calls for which firmware will be busy.
    pub(crate) busy: Cell<u32>,
    /// The number of times that the guest waited for firmware.
    pub(crate) pauses: Cell<u32>,
}

impl Hypervisor {
    /// Returns a hypervisor that offers every class and feature.
    pub(crate) fn new() -> Self {
        let all = Classes::CPU | Classes::MEMORY | Classes::PMEM | Classes::PCI;
        Self::offering(all, Features::TOKEN | Features::STARTED)
    }

    /// Returns a hypervisor that offers these classes and features.
    pub(crate) fn offering(classes: Classes, features: Features) -> Self {
        let mut tracker = Tracker::new(
            Config::default()
                .offer(Offer::new(REPORTS, classes, features))
                .max_open_per_device(1024),
        );
        for (resource, first, count) in [
            (Resource::MEMORY, DIMM, 2),
            (Resource::MEMORY, OTHER_DIMM, 1),
            (Resource::CPU, CORE, 1),
        ] {
            let span = Span::new(first, count).unwrap();
            tracker.add_connectors(resource, span).unwrap();
            tracker.plug(span).unwrap();
            tracker.boot(first);
        }
        Self {
            tracker: RefCell::new(tracker),
            events: RefCell::default(),
            asks: RefCell::default(),
            outcomes: RefCell::default(),
            calls: RefCell::default(),
            busy: Cell::new(0),
            pauses: Cell::new(0),
        }
    }

    /// Returns the value of the property with the offer; empty if there is none.
    pub(crate) fn property(&self) -> Vec<u8> {
        self.tracker.borrow().offered().map_or(Vec::new(), |offer| offer.property().to_vec())
    }

    /// Requests a removal, as `device_del` does. Returns `None` if the device is gone.
    pub(crate) fn device_del(&self, first: DrcIndex) -> Option<RequestId> {
        let requested =
            self.tracker.borrow_mut().request(first, &mut *self.events.borrow_mut()).ok()?;
        if let Requested::Ask(ask) = requested {
            self.asks.borrow_mut().push_back(ask);
        }
        self.deliver();
        Some(requested.id())
    }

    /// Migrates to a hypervisor that offers what this one does, and knows nothing of what was
    /// armed.
    pub(crate) fn forget_what_is_armed(&self) {
        self.report_by_hand(0x4000_0000);
    }

    /// Migrates to a hypervisor that takes no reports.
    pub(crate) fn take_no_reports(&self) {
        self.tracker.borrow_mut().set_offer(None, &mut *self.events.borrow_mut());
        self.deliver();
    }

    /// Returns the classes and features that are armed.
    pub(crate) fn armed(&self) -> (Classes, Features) {
        self.tracker.borrow().armed()
    }

    /// Returns the open requests.
    pub(crate) fn open(&self) -> Vec<RequestId> {
        self.tracker.borrow().requests().iter().map(|request| request.id).collect()
    }

    /// Returns the open requests that are promised an answer.
    pub(crate) fn promised(&self) -> Vec<RequestId> {
        self.tracker
            .borrow()
            .requests()
            .iter()
            .filter(|request| request.promised)
            .map(|request| request.id)
            .collect()
    }

    /// Returns the open requests with which the guest has begun.
    pub(crate) fn started(&self) -> Vec<RequestId> {
        self.tracker
            .borrow()
            .requests()
            .iter()
            .filter(|request| request.started)
            .map(|request| request.id)
            .collect()
    }

    /// Returns the report words that the guest has sent.
    pub(crate) fn reports(&self) -> Vec<u32> {
        self.calls.borrow().iter().filter(|call| call.0 == REPORTS.0).map(|call| call.2).collect()
    }

    /// Returns the connectors that the guest has unisolated.
    pub(crate) fn hints(&self) -> Vec<u32> {
        let hint = (Indicator::ISOLATION_STATE.0, IsolationState::UNISOLATE.0);
        self.calls
            .borrow()
            .iter()
            .filter(|call| (call.0, call.2) == hint)
            .map(|call| call.1)
            .collect()
    }

    /// Has the guest wait for firmware.
    pub(crate) fn pause(&self, busy: Status) {
        assert!(busy.is_busy());
        self.pauses.set(self.pauses.get() + 1);
    }

    fn report_by_hand(&self, word: u32) {
        self.tracker
            .borrow_mut()
            .set_indicator(&[REPORTS.0, 0, word], &mut *self.events.borrow_mut());
        self.deliver();
    }

    fn deliver(&self) {
        for event in self.events.take() {
            if let Event::Ended(outcome) = event {
                self.outcomes.borrow_mut().push(outcome);
            }
        }
    }

    fn is_busy(&self) -> bool {
        let busy = self.busy.get();
        self.busy.set(busy.saturating_sub(1));
        busy != 0
    }
}

impl Rtas for Hypervisor {
    fn entity_sense(&self, connector: DrcIndex) -> Result<EntitySense, Status> {
        if self.is_busy() {
            return Err(Status(9900));
        }
        match self.tracker.borrow().get_sensor_state(&[EntitySense::SENSOR, connector.0]) {
            (Status::SUCCESS, sense) => Ok(sense),
            (status, _) => Err(status),
        }
    }

    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status {
        if self.is_busy() {
            return Status::BUSY;
        }
        let words = [indicator.0, connector.0, state];
        self.calls.borrow_mut().push(words.into());
        let answer =
            self.tracker.borrow_mut().set_indicator(&words, &mut *self.events.borrow_mut());
        self.deliver();
        answer.status
    }
}
