// SPDX-License-Identifier: GPL-2.0-only

//! The watch at level 0, with firmware that says what it is told to. `guest-module/tests/` has it talk with a hypervisor.

use super::*;
use crate::logic::cause::Place;
use crate::logic::{clues::LmbFlags, outbox};
use crate::wire::{
    hotplug::Resource,
    rtas::{EntitySense, Indicator, IsolationState, Status},
};
use std::{cell::RefCell, string::ToString, vec, vec::Vec};

const WORKER: Task = Task(0x1000);
const WRITER: Task = Task(0x2000);
const INTERRUPTED: Task = Task(0x3000);
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

fn begin(watch: &Watch, task: Task, origin: Origin, asked: &HotplugRequest) -> Follow {
    watch.request_begins(task, origin, asked, 0, &Firmware::answering(&[-3]))
}

fn end(watch: &Watch, task: Task, returned: i32, firmware: &Firmware) {
    watch.request_ends(task, &Ending { returned, ..Ending::default() }, firmware);
}

/// An LMB is taken offline, with this result.
fn lmb(watch: &Watch, lmb: DrcIndex, returned: i32) {
    let attempt = watch.followed(WORKER).unwrap();
    attempt.lmb_begins(lmb, LmbFlags::ASSIGNED);
    attempt.lmb_ends(returned, Senses::default());
}

/// A removal of the DIMM whose first LMB is busy, as stock Linux makes it.
fn refuse(watch: &Watch, firmware: &Firmware) {
    assert_eq!(begin(watch, WORKER, Origin::Hypervisor, &dimm()), Follow::Return);
    lmb(watch, FIRST, -16);
    end(watch, WORKER, -22, firmware);
}

fn settle(watch: &Watch, firmware: &Firmware) -> Vec<Refusal> {
    let mut logged = vec![];
    watch.settle(firmware);
    watch.log(|refusal| logged.push(*refusal));
    logged
}

#[test]
fn busy_first_lmb_is_signalled_once_and_logged() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    refuse(&watch, &firmware);
    assert!(watch.is_unsettled());
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
    let refusal = Refusal {
        resource: Resource::MEMORY,
        connector: Some(FIRST),
        lmb: Some(FIRST),
        reason: Reason::UNATTRIBUTED,
        errno: -16,
        place: Place::Unknown,
        token: Token::NONE,
        told: Told::ByModule,
    };
    assert_eq!(settle(&watch, &firmware), [refusal]);
    assert_eq!(settle(&watch, &firmware), []);
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
}

#[test]
fn busy_later_lmb_is_left_to_the_kernel() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    assert_eq!(begin(&watch, WORKER, Origin::Hypervisor, &dimm()), Follow::Return);
    lmb(&watch, FIRST, 0);
    lmb(&watch, SECOND, -16);
    watch.followed(WORKER).unwrap().unisolate_ends(0);
    end(&watch, WORKER, -22, &firmware);
    assert_eq!(*firmware.signals.borrow(), []);
    let logged = settle(&watch, &firmware);
    assert_eq!(logged.iter().map(|r| (r.lmb, r.told)).collect::<Vec<_>>(), [(Some(SECOND), Told::ByKernel)]);
}

#[test]
fn release_is_counted_and_nothing_else() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    begin(&watch, WORKER, Origin::Hypervisor, &dimm());
    for lmb in [FIRST, SECOND] {
        watch.followed(WORKER).unwrap().release_begins(lmb);
        watch.followed(WORKER).unwrap().release_ends(0);
    }
    end(&watch, WORKER, 0, &firmware);
    assert!(!watch.is_unsettled());
    assert_eq!(*firmware.signals.borrow(), []);
    assert!(watch.counters.to_string().starts_with("requests 1\nreleased 1\nrefused 0\n"));
    assert_eq!(watch.journal.newest(), 0);
}

#[test]
fn addition_is_not_followed() {
    let watch = Watch::new();
    let add = HotplugRequest { action: Action::ADD, ..dimm() };
    assert_eq!(begin(&watch, WORKER, Origin::Hypervisor, &add), Follow::Nothing);
    assert_eq!(watch.counters.requests.get(), 0);
}

#[test]
fn guests_own_removal_is_counted_and_not_followed() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    assert_eq!(begin(&watch, WRITER, Origin::Guest, &dimm()), Follow::Nothing);
    assert!(watch.followed(WRITER).is_none());
    end(&watch, WRITER, -22, &firmware);
    assert_eq!(watch.counters.guest_initiated.get(), 1);
    assert_eq!(*firmware.signals.borrow(), []);
}

#[test]
fn guests_own_removal_beside_the_hypervisors_leaves_no_evidence_in_it() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    begin(&watch, WORKER, Origin::Hypervisor, &dimm());
    assert_eq!(begin(&watch, WRITER, Origin::Guest, &dimm()), Follow::Nothing);
    assert!(watch.followed(WRITER).is_none());
    end(&watch, WRITER, 0, &firmware);
    end(&watch, WORKER, -22, &firmware);
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
    assert_eq!(settle(&watch, &firmware)[0].lmb, None);
}

#[test]
fn second_removal_at_the_same_time_is_counted_as_overlapped() {
    let watch = Watch::new();
    begin(&watch, WORKER, Origin::Hypervisor, &dimm());
    assert_eq!(begin(&watch, WRITER, Origin::Hypervisor, &dimm()), Follow::Nothing);
    assert_eq!(watch.counters.overlapped.get(), 1);
}

#[test]
fn busy_firmware_is_asked_again_afterwards_until_it_has_heard() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[-2, 9902, -2, 0]));
    refuse(&watch, &firmware);
    assert_eq!(watch.journal.get(1).map(|refusal| refusal.told), Some(Told::Pending));
    assert_eq!(*firmware.pauses.borrow(), []);

    assert_eq!(settle(&watch, &firmware)[0].told, Told::ByModule);
    assert_eq!(*firmware.pauses.borrow(), [9902, -2]);
    assert_eq!(*firmware.signals.borrow(), [FIRST; 4]);
    assert_eq!(watch.journal.get(1).map(|refusal| refusal.told), Some(Told::ByModule));
    assert_eq!(watch.counters.told_by_module.get(), 1);
}

/// The kernel takes a request and makes this of it.
fn arrive(watch: &Watch, work: Work, firmware: &Firmware) {
    assert_eq!(watch.event_begins(INTERRUPTED, &dimm(), Token::NONE), Follow::Return);
    watch.work_is_queued(INTERRUPTED, work, 0x6000, || Some(dimm()), || None);
    watch.event_ends(firmware);
}

/// The kernel frees a request before it says that its work is done.
#[test]
fn request_that_comes_to_stand_where_the_one_before_stood_is_not_answered_in_its_stead() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    watch.promise(Senses::WORK, false, &firmware);
    let work = Work(0x5000);
    arrive(&watch, work, &firmware);
    for requests in [1, 2] {
        assert!(watch.work_begins(WORKER, work, &firmware));
        assert_eq!(begin(&watch, WORKER, Origin::Hypervisor, &dimm()), Follow::Return);
        lmb(&watch, FIRST, -16);
        end(&watch, WORKER, -22, &firmware);
        arrive(&watch, work, &firmware);
        assert!(watch.work_ends(WORKER, &firmware));
        assert_eq!((watch.counters.requests.get(), watch.counters.unseen.get()), (requests, 0));
    }
    // This one's attempt was not seen.
    assert!(watch.work_begins(WORKER, work, &firmware));
    assert!(watch.work_ends(WORKER, &firmware));
    assert_eq!((watch.counters.requests.get(), watch.counters.unseen.get()), (3, 1));
}

/// PUE-G-012
#[test]
fn event_that_no_probe_saw_withdraws_the_promise_only_if_the_log_does_not_tell_what_it_was() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    arrive(&watch, Work(0x5000), &firmware);
    let addition = HotplugRequest { action: Action::ADD, ..dimm() };
    let mut missed = 0;
    let mut unseen = |more, logged| {
        missed += more;
        watch.interrupt_ends(INTERRUPTED, missed, || logged, &firmware);
        (watch.counters.withdrawn.get(), watch.counters.missed_events.get())
    };
    assert_eq!(unseen(0, None), (0, 0));
    assert_eq!(unseen(1, Some((addition, Token::NONE))), (0, 1));
    assert_eq!(unseen(1, None), (1, 2));
    assert_eq!(unseen(2, Some((dimm(), Token(7)))), (2, 4));
}

#[test]
fn refusal_is_told_when_the_work_ends_where_that_is_seen_and_when_the_removal_returns_elsewhere() {
    for (senses, told_by) in [(Senses::WORK, [0, 1]), (Senses::default(), [1, 1])] {
        let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
        watch.promise(senses, false, &firmware);
        refuse(&watch, &firmware);
        let at_return = firmware.signals.borrow().len();
        watch.work_ends(WORKER, &firmware);
        assert_eq!([at_return, firmware.signals.borrow().len()], told_by);
    }
}

#[test]
fn refusal_that_was_not_told_when_the_last_probe_went_is_told_in_the_end() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    watch.promise(Senses::WORK, false, &firmware);
    refuse(&watch, &firmware);
    watch.close(&firmware);
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
    assert_eq!(settle(&watch, &firmware).len(), 1);
}

#[test]
fn connector_that_is_not_the_guests_is_not_unisolated() {
    let (watch, firmware) = (Watch::new(), Firmware::answering(&[0]));
    let pmem = HotplugRequest::from([6, 2, 2, 0, 0x90, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(begin(&watch, WORKER, Origin::Hypervisor, &pmem), Follow::Return);
    end(&watch, WORKER, -19, &firmware);
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
    let (room, more) = (outbox::CAPACITY as u64, 10);
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
