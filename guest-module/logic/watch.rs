// SPDX-License-Identifier: GPL-2.0-only

//! The watch over removals: every probe of the module reports here.

use super::{
    attempt::{Attempt, Task},
    counters::Counters,
    deferred::{Deferred, Waiting},
    journal::Journal,
    refusal::{Refusal, Told},
    rtas::{self, Busy, Rtas},
    verdict::{judge, Telling, Verdict},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{Action, HotplugRequest},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Who asked for a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The hypervisor: the removal runs in the worker of the kernel's workqueue for its requests.
    Hypervisor,
    /// The guest's own administrator, by `/sys/kernel/dlpar`: it runs in the task that wrote there.
    Guest,
}

/// Whether the return of a function that was entered is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Report it.
    Return,
    /// It is not.
    Nothing,
}

impl Follow {
    fn if_true(yes: bool) -> Self {
        if yes {
            Self::Return
        } else {
            Self::Nothing
        }
    }
}

/// Whether there is something to do that a probe must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Call [`Watch::settle`] where sleeping is allowed.
    Settle,
    /// There is not.
    Nothing,
}

/// Follows the removals that the hypervisor asks for, and sees to it that it hears of every refusal.
#[derive(Debug)]
pub struct Watch {
    attempt: Attempt,
    /// What happened how often.
    pub counters: Counters,
    /// The last refusals.
    pub journal: Journal,
    /// The refusals that the hypervisor has yet to be told.
    deferred: Deferred,
    /// The number of the last refusal that came to the kernel log.
    logged: AtomicU64,
}

impl Watch {
    /// Nothing has happened yet. To be made at compile time: it is large for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            attempt: Attempt::new(),
            counters: Counters::new(),
            journal: Journal::new(),
            deferred: Deferred::new(),
            logged: AtomicU64::new(0),
        }
    }

    /// `handle_dlpar_errorlog` was entered with this request.
    pub fn request_begins(&self, task: Task, origin: Origin, asked: &HotplugRequest) -> Follow {
        if asked.action != Action::REMOVE {
            return Follow::Nothing;
        }
        if origin == Origin::Guest {
            self.counters.guest_initiated.increment();
            return Follow::Nothing;
        }
        let begun = self.attempt.begin(task, asked);
        if !begun {
            self.counters.overlapped.increment();
        }
        Follow::if_true(begun)
    }

    /// `dlpar_remove_lmb` was entered for this LMB.
    pub fn offline_begins(&self, task: Task, lmb: DrcIndex) -> Follow {
        let ours = self.attempt.is_of(task);
        if ours {
            self.attempt.offline_begins(lmb);
        }
        Follow::if_true(ours)
    }

    /// It returned.
    pub fn offline_ends(&self, task: Task, returned: i32) {
        if self.attempt.is_of(task) {
            self.attempt.offline_ends(returned);
        }
    }

    /// `dlpar_release_drc` was entered for this connector.
    pub fn release_begins(&self, task: Task, connector: DrcIndex) -> Follow {
        let ours = self.attempt.is_of(task);
        if ours {
            self.attempt.release_begins(connector);
        }
        Follow::if_true(ours)
    }

    /// It returned.
    pub fn release_ends(&self, task: Task, returned: i32) {
        if self.attempt.is_of(task) {
            self.attempt.release_ends(returned);
        }
    }

    /// `dlpar_unisolate_drc` was entered.
    pub fn unisolate_begins(&self, task: Task) -> Follow {
        Follow::if_true(self.attempt.is_of(task))
    }

    /// It returned.
    pub fn unisolate_ends(&self, task: Task, returned: i32) {
        if self.attempt.is_of(task) {
            self.attempt.unisolate_ends(returned);
        }
    }

    /// `handle_dlpar_errorlog` returned. A refusal is told before the kernel takes up the hypervisor's next request.
    pub fn request_ends(&self, task: Task, returned: i32, rtas: &impl Rtas) -> Afterwards {
        if !self.attempt.is_of(task) {
            return Afterwards::Nothing;
        }
        let asked = self.attempt.asked();
        let seen = self.attempt.seen(returned);
        self.counters.requests.increment();

        let afterwards = match judge(&asked, &seen) {
            Verdict::Released => {
                self.counters.released.increment();
                Afterwards::Nothing
            }
            Verdict::Refused { errno, telling } => {
                self.counters.refused.increment();
                let told = match telling {
                    Telling::Done => Told::ByKernel,
                    Telling::Impossible => Told::Unnamed,
                    Telling::Signal(connector) => self.signal(connector, rtas),
                };
                self.count(told);
                let number = self.journal.add(&Refusal {
                    resource: asked.resource,
                    connector: asked.target().connector(),
                    lmb: seen.busy_lmb.map(|failure| failure.connector),
                    errno,
                    told,
                });
                if let Told::Pending(connector) = told {
                    self.deferred.put(Waiting { number, connector });
                }
                Afterwards::Settle
            }
        };
        // Not before: the journal takes one writer at a time.
        self.attempt.end();
        afterwards
    }

    /// Signals once. If firmware is busy, the refusal has to wait for [`Self::settle`].
    fn signal(&self, connector: DrcIndex, rtas: &impl Rtas) -> Told {
        match rtas::signal(rtas, connector) {
            Ok(told) => told,
            Err(_) if self.deferred.has_room() => Told::Pending(connector),
            Err(Busy(status)) => Told::Failed(status),
        }
    }

    /// Tells the hypervisor what firmware was too busy for, and hands every new refusal to `log`. May sleep; one caller
    /// at a time.
    pub fn settle(&self, rtas: &impl Rtas, mut log: impl FnMut(&Refusal)) {
        while let Some(Waiting { number, connector }) = self.deferred.take() {
            let told = rtas::signal_patiently(rtas, connector);
            self.count(told);
            self.journal.settle(number, Told::Pending(connector), told);
        }
        let mut next = self.logged.load(Relaxed).wrapping_add(1);
        while next <= self.journal.newest() {
            let oldest = self.journal.oldest();
            if next < oldest {
                self.counters.log_overruns.add(oldest.wrapping_sub(next));
                next = oldest;
            }
            match self.journal.get(next) {
                Some(refusal) => log(&refusal),
                None => self.counters.log_overruns.increment(),
            }
            self.logged.store(next, Relaxed);
            next = next.wrapping_add(1);
        }
    }

    fn count(&self, told: Told) {
        match told {
            Told::ByKernel => self.counters.told_by_kernel.increment(),
            Told::ByModule => self.counters.told_by_module.increment(),
            Told::Unnamed | Told::Absent | Told::Failed(_) => self.counters.not_told.increment(),
            Told::Pending(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logic::deferred;
    use crate::wire::{
        hotplug::Resource,
        rtas::{EntitySense, Indicator, IsolationState, Status},
    };
    use std::{cell::RefCell, string::ToString, vec, vec::Vec};

    const WORKER: Task = Task(0x1000);
    const WRITER: Task = Task(0x2000);
    const FIRST: DrcIndex = DrcIndex(0x8000_0008);
    const SECOND: DrcIndex = DrcIndex(0x8000_0009);
    /// A connector that is not the guest's.
    const GONE: DrcIndex = DrcIndex(0x9000_0001);

    /// Firmware that gives the answers it was told to, the last one for ever, and remembers what it was asked.
    struct Firmware {
        answers: RefCell<Vec<i32>>,
        signals: RefCell<Vec<DrcIndex>>,
        pauses: RefCell<Vec<i32>>,
    }

    impl Firmware {
        fn answering(answers: &[i32]) -> Self {
            let answers = answers.iter().rev().copied().collect();
            Self { answers: RefCell::new(answers), signals: RefCell::default(), pauses: RefCell::default() }
        }
    }

    impl Rtas for Firmware {
        fn entity_sense(&self, connector: DrcIndex) -> Result<EntitySense, Status> {
            Ok(if connector == GONE { EntitySense::UNUSABLE } else { EntitySense::PRESENT })
        }

        fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status {
            assert_eq!((indicator, state), (Indicator::ISOLATION_STATE, IsolationState::UNISOLATE.0));
            self.signals.borrow_mut().push(connector);
            let mut answers = self.answers.borrow_mut();
            Status(if answers.len() > 1 { answers.pop().unwrap() } else { answers[0] })
        }

        fn pause(&self, busy: Status) {
            self.pauses.borrow_mut().push(busy.0);
        }
    }

    fn dimm() -> HotplugRequest {
        HotplugRequest::from([2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8])
    }

    /// A removal of the DIMM whose first LMB is busy, as stock Linux makes it.
    fn refuse(watch: &Watch, firmware: &Firmware) -> Afterwards {
        assert_eq!(watch.request_begins(WORKER, Origin::Hypervisor, &dimm()), Follow::Return);
        assert_eq!(watch.offline_begins(WORKER, FIRST), Follow::Return);
        watch.offline_ends(WORKER, -16);
        watch.request_ends(WORKER, -22, firmware)
    }

    fn settle(watch: &Watch, firmware: &Firmware) -> Vec<Refusal> {
        let mut logged = vec![];
        watch.settle(firmware, |refusal| logged.push(*refusal));
        logged
    }

    #[test]
    fn busy_first_lmb_is_signalled_once_and_logged() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        assert_eq!(refuse(&watch, &firmware), Afterwards::Settle);
        assert_eq!(*firmware.signals.borrow(), [FIRST]);
        let refusal = Refusal {
            resource: Resource::MEMORY,
            connector: Some(FIRST),
            lmb: Some(FIRST),
            errno: -16,
            told: Told::ByModule,
        };
        assert_eq!(settle(&watch, &firmware), [refusal]);
        assert_eq!(settle(&watch, &firmware), []);
        assert_eq!(*firmware.signals.borrow(), [FIRST]);
    }

    #[test]
    fn busy_later_lmb_is_left_to_the_kernel() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        assert_eq!(watch.request_begins(WORKER, Origin::Hypervisor, &dimm()), Follow::Return);
        for (lmb, returned) in [(FIRST, 0), (SECOND, -16)] {
            watch.offline_begins(WORKER, lmb);
            watch.offline_ends(WORKER, returned);
        }
        assert_eq!(watch.unisolate_begins(WORKER), Follow::Return);
        watch.unisolate_ends(WORKER, 0);
        watch.request_ends(WORKER, -22, &firmware);
        assert_eq!(*firmware.signals.borrow(), []);
        let logged = settle(&watch, &firmware);
        assert_eq!(logged.iter().map(|r| (r.lmb, r.told)).collect::<Vec<_>>(), [(Some(SECOND), Told::ByKernel)]);
    }

    #[test]
    fn release_is_counted_and_nothing_else() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        watch.request_begins(WORKER, Origin::Hypervisor, &dimm());
        for lmb in [FIRST, SECOND] {
            assert_eq!(watch.release_begins(WORKER, lmb), Follow::Return);
            watch.release_ends(WORKER, 0);
        }
        assert_eq!(watch.request_ends(WORKER, 0, &firmware), Afterwards::Nothing);
        assert_eq!(*firmware.signals.borrow(), []);
        assert!(watch.counters.to_string().starts_with("requests 1\nreleased 1\nrefused 0\n"));
        assert_eq!(watch.journal.newest(), 0);
    }

    #[test]
    fn addition_is_not_followed() {
        let watch = Watch::new();
        let add = HotplugRequest { action: Action::ADD, ..dimm() };
        assert_eq!(watch.request_begins(WORKER, Origin::Hypervisor, &add), Follow::Nothing);
        assert_eq!(watch.counters.requests.get(), 0);
    }

    #[test]
    fn guests_own_removal_is_counted_and_not_followed() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        assert_eq!(watch.request_begins(WRITER, Origin::Guest, &dimm()), Follow::Nothing);
        assert_eq!(watch.offline_begins(WRITER, FIRST), Follow::Nothing);
        assert_eq!(watch.request_ends(WRITER, -22, &firmware), Afterwards::Nothing);
        assert_eq!(watch.counters.guest_initiated.get(), 1);
        assert_eq!(*firmware.signals.borrow(), []);
    }

    #[test]
    fn guests_own_removal_beside_the_hypervisors_leaves_no_evidence_in_it() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        watch.request_begins(WORKER, Origin::Hypervisor, &dimm());
        assert_eq!(watch.unisolate_begins(WRITER), Follow::Nothing);
        watch.unisolate_ends(WRITER, 0);
        watch.offline_ends(WRITER, -16);
        watch.release_ends(WRITER, 0);
        watch.request_ends(WORKER, -22, &firmware);
        assert_eq!(*firmware.signals.borrow(), [FIRST]);
        assert_eq!(settle(&watch, &firmware)[0].lmb, None);
    }

    #[test]
    fn second_removal_at_the_same_time_is_counted_as_overlapped() {
        let watch = Watch::new();
        watch.request_begins(WORKER, Origin::Hypervisor, &dimm());
        assert_eq!(watch.request_begins(WRITER, Origin::Hypervisor, &dimm()), Follow::Nothing);
        assert_eq!(watch.counters.overlapped.get(), 1);
    }

    #[test]
    fn busy_firmware_is_asked_again_afterwards_until_it_has_heard() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[-2, 9902, -2, 0]));
        refuse(&watch, &firmware);
        assert_eq!(watch.journal.get(1).map(|refusal| refusal.told), Some(Told::Pending(FIRST)));
        assert_eq!(*firmware.pauses.borrow(), []);

        assert_eq!(settle(&watch, &firmware)[0].told, Told::ByModule);
        assert_eq!(*firmware.pauses.borrow(), [9902, -2]);
        assert_eq!(*firmware.signals.borrow(), [FIRST; 4]);
        assert_eq!(watch.journal.get(1).map(|refusal| refusal.told), Some(Told::ByModule));
        assert_eq!(watch.counters.told_by_module.get(), 1);
    }

    #[test]
    fn connector_that_is_not_the_guests_is_not_unisolated() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        let pmem = HotplugRequest::from([6, 2, 2, 0, 0x90, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(watch.request_begins(WORKER, Origin::Hypervisor, &pmem), Follow::Return);
        assert_eq!(watch.request_ends(WORKER, -19, &firmware), Afterwards::Settle);
        assert_eq!(*firmware.signals.borrow(), []);
        assert_eq!(settle(&watch, &firmware)[0].told, Told::Absent);
        assert_eq!(watch.counters.not_told.get(), 1);
    }

    #[test]
    fn firmware_that_fails_is_not_asked_again() {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[-3]));
        refuse(&watch, &firmware);
        assert_eq!(settle(&watch, &firmware)[0].told, Told::Failed(Status(-3)));
        assert_eq!(firmware.signals.borrow().len(), 1);
        assert_eq!(watch.counters.not_told.get(), 1);
    }

    #[test]
    fn every_refusal_is_told_or_known_as_not_told_even_when_more_wait_than_there_is_room_for() {
        let (watch, busy) = (Watch::new(), Firmware::answering(&[-2]));
        let (room, more) = (deferred::CAPACITY as u64, 10);
        for _ in 0..room + more {
            refuse(&watch, &busy);
        }
        let logged = settle(&watch, &Firmware::answering(&[0])).len() as u64;
        let counters = &watch.counters;
        assert_eq!(counters.refused.get(), room + more);
        assert_eq!(counters.told_by_module.get(), room);
        assert_eq!(counters.not_told.get(), more);
        assert_eq!(logged + counters.log_overruns.get(), room + more);
    }
}
