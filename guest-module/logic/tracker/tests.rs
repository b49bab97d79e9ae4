// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the tracker at level 0, with a firmware whose answers are given. The tests in
//! `guest-module/tests/` have it talk with a hypervisor.

use super::*;
use crate::{
    logic::{cause::Location, handover, history, observations::LmbFlags, retry_queue},
    wire::{
        hotplug::Resource,
        rtas::{EntitySense, Indicator, IsolationState},
    },
};
use core::num::NonZeroUsize;
use std::{cell::RefCell, string::ToString, vec, vec::Vec};

const WORKER: Task = Task(0x1000);
const INTERRUPTED: Task = Task(0x3000);
const FIRST: DrcIndex = DrcIndex(0x8000_0008);
const SECOND: DrcIndex = DrcIndex(0x8000_0009);
/// A connector that the guest does not hold.
const GONE: DrcIndex = DrcIndex(0x9000_0001);

/// Firmware with given answers, of which the last is repeated, and the hints that it received.
struct Firmware {
    answers: RefCell<Vec<i32>>,
    signals: RefCell<Vec<DrcIndex>>,
}

impl Firmware {
    fn answering(answers: &[i32]) -> Self {
        let answers = answers.iter().rev().copied().collect();
        Self { answers: RefCell::new(answers), signals: RefCell::default() }
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
}

fn dimm() -> HotplugRequest {
    HotplugRequest::from([2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8])
}

fn tracker() -> Tracker {
    let mut tracker = Tracker::new();
    tracker.make_room(
        Vec::leak(vec![WaitingRequest::EMPTY; 8]),
        Vec::leak(vec![Notice::EMPTY; retry_queue::CAPACITY]),
        Vec::leak(vec![Refusal::EMPTY; history::CAPACITY]),
        Vec::leak(vec![Handed::EMPTY; handover::CAPACITY]),
    );
    tracker
}

fn work(address: usize) -> Work {
    Work(NonZeroUsize::new(address).unwrap())
}

/// Begins a removal whose request no probe saw arrive.
fn begin(tracker: &mut Tracker, request: HotplugRequest) {
    tracker.work_begins(WORKER, work(0x5000), request, Begin::default());
}

fn removal(tracker: &mut Tracker) -> &mut Removal {
    tracker.removal_of(WORKER).unwrap()
}

/// Ends a removal and the work on it.
fn end(tracker: &mut Tracker, returned: i32, firmware: &Firmware) {
    removal(tracker).handler_ends(returned, false);
    assert!(tracker.work_ends(WORKER, 0));
    tell(tracker, firmware);
}

/// Tells what was decided, as the module does after each probe.
fn tell(tracker: &mut Tracker, firmware: &Firmware) {
    loop {
        match tracker.tell_now(firmware) {
            Progress::Told => {}
            Progress::CheckProbes => tracker.may_arm(true),
            Progress::Nothing => return,
        }
    }
}

/// Takes an LMB offline, with this result.
fn lmb(tracker: &mut Tracker, lmb: DrcIndex, returned: i32) {
    let removal = removal(tracker);
    removal.lmb_begins(lmb, LmbFlags::ASSIGNED);
    removal.lmb_ends(returned, ProbeSet::default());
}

/// Makes a removal of the DIMM whose first LMB is busy, as stock Linux does.
fn refuse(tracker: &mut Tracker, firmware: &Firmware) {
    begin(tracker, dimm());
    lmb(tracker, FIRST, -16);
    end(tracker, -22, firmware);
}

/// Runs the module's worker. Returns the refusals for the kernel log, and the busy statuses.
fn settle(tracker: &mut Tracker, firmware: &Firmware) -> (Vec<Refusal>, Vec<i32>) {
    let mut pauses = vec![];
    loop {
        match tracker.tell(firmware) {
            Ok(Progress::Told) => {}
            Ok(Progress::CheckProbes) => tracker.may_arm(true),
            Ok(Progress::Nothing) => break,
            Err(Busy(status)) => pauses.push(status.0),
        }
    }
    let refusals = std::iter::from_fn(|| tracker.next_to_log()).map(|line| match line {
        Line::Refusal(refusal) => refusal,
        line => panic!("{line:?}"),
    });
    (refusals.collect(), pauses)
}

#[test]
fn busy_first_lmb_is_signalled_once_and_logged() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    refuse(&mut tracker, &firmware);
    assert!(tracker.is_unsettled());
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
    let refusal = Refusal {
        resource: Resource::MEMORY,
        connector: Some(FIRST),
        lmb: Some(FIRST),
        reason: Reason::UNATTRIBUTED,
        errno: -16,
        location: Location::Unknown,
        token: Token::NONE,
        delivery: Delivery::ByModule,
    };
    assert_eq!(settle(&mut tracker, &firmware).0, [refusal]);
    assert_eq!(settle(&mut tracker, &firmware).0, []);
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
}

#[test]
fn busy_later_lmb_is_left_to_the_kernel() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    begin(&mut tracker, dimm());
    lmb(&mut tracker, FIRST, 0);
    lmb(&mut tracker, SECOND, -16);
    removal(&mut tracker).unisolate_ends(0);
    end(&mut tracker, -22, &firmware);
    assert_eq!(*firmware.signals.borrow(), []);
    let logged = settle(&mut tracker, &firmware).0;
    assert_eq!(
        logged.iter().map(|r| (r.lmb, r.delivery)).collect::<Vec<_>>(),
        [(Some(SECOND), Delivery::ByKernel)]
    );
}

#[test]
fn release_is_counted_and_nothing_else() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    begin(&mut tracker, dimm());
    for lmb in [FIRST, SECOND] {
        removal(&mut tracker).release_begins(lmb);
        removal(&mut tracker).release_ends(0);
    }
    end(&mut tracker, 0, &firmware);
    assert!(!tracker.is_unsettled());
    assert_eq!(*firmware.signals.borrow(), []);
    assert!(tracker.counters.to_string().starts_with("requests 1\nreleased 1\nrefused 0\n"));
    assert_eq!(tracker.history.newest(), 0);
}

#[test]
fn addition_is_not_followed() {
    let mut tracker = tracker();
    begin(&mut tracker, HotplugRequest { action: Action::ADD, ..dimm() });
    assert!(tracker.removal().is_none());
    assert_eq!(tracker.counters.requests, 0);
}

#[test]
fn guests_own_removal_is_counted_and_not_followed() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    tracker.administrator_begins(Action::ADD);
    tracker.administrator_begins(Action::REMOVE);
    tell(&mut tracker, &firmware);
    assert!(tracker.removal().is_none());
    assert_eq!(tracker.counters.guest_initiated, 1);
    assert_eq!(*firmware.signals.borrow(), []);
}

#[test]
fn task_that_does_not_make_the_removal_has_no_part_in_it() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    begin(&mut tracker, dimm());
    assert!(tracker.removal_of(INTERRUPTED).is_none());
    tracker.work_ends(INTERRUPTED, 0);
    end(&mut tracker, -22, &firmware);
    assert_eq!(*firmware.signals.borrow(), [FIRST]);
    assert_eq!(settle(&mut tracker, &firmware).0[0].lmb, None);
}

#[test]
fn second_removal_at_the_same_time_is_counted_as_overlapped_and_not_relied_on() {
    let mut tracker = tracker();
    begin(&mut tracker, dimm());
    tracker.work_begins(INTERRUPTED, work(0x6000), dimm(), Begin::default());
    assert!(tracker.removal_of(INTERRUPTED).is_none());
    assert_eq!((tracker.counters.overlapped, tracker.counters.withdrawn), (1, 1));
}

#[test]
fn busy_firmware_is_asked_again_afterwards_until_it_has_heard() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[-2, 9902, -2, 0]));
    refuse(&mut tracker, &firmware);
    assert_eq!(tracker.history.get(1).map(|refusal| refusal.delivery), Some(Delivery::Pending));
    assert!(tracker.is_unsettled());
    assert_eq!(tracker.next_to_log(), None);

    let (logged, pauses) = settle(&mut tracker, &firmware);
    assert_eq!(logged[0].delivery, Delivery::ByModule);
    assert_eq!(pauses, [9902, -2]);
    assert_eq!(*firmware.signals.borrow(), [FIRST; 4]);
    assert_eq!(tracker.history.get(1).map(|refusal| refusal.delivery), Some(Delivery::ByModule));
    assert_eq!(tracker.counters.told_by_module, 1);
    assert!(!tracker.is_unsettled());
}

#[test]
fn kernel_log_says_what_probes_do_before_the_refusals_that_are_delivered() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0, -2]));
    refuse(&mut tracker, &firmware);
    refuse(&mut tracker, &firmware);
    tracker.probes_fire(false);
    tracker.distrust();
    let first = tracker.history.get(1).copied().unwrap();
    let lines = [Line::ProbesAreOff, Line::KernelIsStrange, Line::Refusal(first)];
    assert_eq!(std::iter::from_fn(|| tracker.next_to_log()).collect::<Vec<_>>(), lines);
    tracker.probes_fire(true);
    assert_eq!([(); 2].map(|()| tracker.next_to_log()), [Some(Line::ProbesAreOn), None]);
}

#[test]
fn probes_that_were_off_are_unsettled_until_all_of_them_are_known_to_be_on() {
    let mut tracker = tracker();
    tracker.probes_fire(true);
    assert!(!tracker.are_probes_unsettled());
    tracker.probes_fire(false);
    tracker.probes_fire(true);
    assert!(tracker.are_probes_unsettled());
    tracker.probes_have_settled();
    assert!(!tracker.are_probes_unsettled());
}

/// Has the kernel take a request and make this work item of it.
fn arrive(tracker: &mut Tracker, work: Work, firmware: &Firmware) {
    assert_eq!(tracker.event_begins(INTERRUPTED, &dimm(), Token::NONE), Follow::Return);
    tracker.work_is_queued(INTERRUPTED, work, dimm(), || panic!("the log is read"));
    tracker.event_ends();
    tell(tracker, firmware);
}

/// The kernel frees a request before it says that its work is done.
#[test]
fn request_that_comes_to_stand_where_the_one_before_stood_is_not_answered_in_its_stead() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    let work = work(0x5000);
    arrive(&mut tracker, work, &firmware);
    for requests in [1, 2] {
        tracker.work_begins(WORKER, work, dimm(), Begin::default());
        lmb(&mut tracker, FIRST, -16);
        removal(&mut tracker).handler_ends(-22, false);
        arrive(&mut tracker, work, &firmware);
        tracker.work_ends(WORKER, 0);
        tell(&mut tracker, &firmware);
        assert_eq!((tracker.counters.requests, tracker.counters.unseen), (requests, 0));
    }
    // No probe sees what this one returns.
    tracker.work_begins(WORKER, work, dimm(), Begin::default());
    tracker.work_ends(WORKER, 0);
    tell(&mut tracker, &firmware);
    assert_eq!((tracker.counters.requests, tracker.counters.unseen), (3, 1));
}

/// PUE-G-012
#[test]
fn event_that_no_probe_saw_withdraws_the_promise_only_if_the_log_does_not_tell_what_it_was() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    arrive(&mut tracker, work(0x5000), &firmware);
    let addition = HotplugRequest { action: Action::ADD, ..dimm() };
    let mut missed = 0;
    let mut unseen = |more, logged| {
        missed += more;
        tracker.interrupt_ends(INTERRUPTED, missed, || logged);
        (tracker.counters.withdrawn, tracker.counters.missed_events)
    };
    assert_eq!(unseen(0, None), (0, 0));
    assert_eq!(unseen(1, Some((addition, Token::NONE))), (0, 1));
    assert_eq!(unseen(1, None), (1, 2));
    assert_eq!(unseen(2, Some((dimm(), Token(7)))), (2, 4));
}

/// PUE-G-030: with `threadirqs`, an interrupt can come again while its thread takes the event before.
#[test]
fn interrupt_that_comes_while_a_thread_takes_a_request_loses_nothing() {
    for when in 0..4 {
        let firmware = Firmware::answering(&[0]);
        let mut tracker = promising(&firmware);
        let come =
            |tracker: &mut Tracker, now| (now == when).then(|| tracker.interrupt_wakes_thread(0));
        come(&mut tracker, 0);
        tracker.event_begins(INTERRUPTED, &dimm(), Token(7));
        come(&mut tracker, 1);
        tracker.work_is_queued(INTERRUPTED, work(0x5000), dimm(), || None);
        come(&mut tracker, 2);
        tracker.event_ends();
        come(&mut tracker, 3);
        tell(&mut tracker, &firmware);
        tracker.work_begins(WORKER, work(0x5000), dimm(), Begin::default());
        assert!(tracker.removal().is_some_and(|removal| removal.token == Token(7)), "{when}");
        let Counters { requests, dropped, withdrawn, .. } = tracker.counters;
        assert_eq!((requests, dropped, withdrawn), (0, 0, 0), "{when}");
    }
}

/// PUE-G-012: whether a thread's request that no probe saw was lost is not known.
#[test]
fn call_that_a_thread_made_unseen_withdraws_the_promise_unless_its_work_item_was_queued() {
    for (is_queued, withdrawn) in [(true, 0), (false, 1)] {
        let firmware = Firmware::answering(&[0]);
        let mut tracker = promising(&firmware);
        if is_queued {
            let logged = || Some((dimm(), Token(7)));
            tracker.work_is_queued(INTERRUPTED, work(0x5000), dimm(), logged);
        }
        tracker.interrupt_wakes_thread(1);
        assert_eq!((tracker.counters.dropped, tracker.counters.withdrawn), (0, withdrawn));
    }
}

/// PUE-G-012
#[test]
fn probes_are_said_to_be_on_when_all_of_them_are() {
    let firmware = Firmware::answering(&[0]);
    let mut tracker = promising(&firmware);
    tracker.probes_fire(false);
    assert_eq!(tracker.next_to_log(), Some(Line::ProbesAreOff));
    tracker.probes_fire(true);
    assert_eq!(tracker.next_to_log(), None);
    tracker.probes_have_settled();
    assert_eq!([(); 2].map(|()| tracker.next_to_log()), [Some(Line::ProbesAreOn), None]);
}

#[test]
fn refusal_that_was_not_told_when_the_last_probe_went_is_told_in_the_end() {
    for (returned, told) in [(Some(-22), vec![FIRST]), (None, vec![])] {
        let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
        begin(&mut tracker, dimm());
        lmb(&mut tracker, FIRST, -16);
        if let Some(returned) = returned {
            removal(&mut tracker).handler_ends(returned, false);
        }
        while tracker.close() {
            tell(&mut tracker, &firmware);
        }
        assert_eq!(*firmware.signals.borrow(), told);
        assert_eq!(settle(&mut tracker, &firmware).0.len(), told.len());
    }
}

#[test]
fn connector_that_is_not_the_guests_is_not_unisolated() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[0]));
    let pmem = HotplugRequest::from([6, 2, 2, 0, 0x90, 0, 0, 1, 0, 0, 0, 0]);
    begin(&mut tracker, pmem);
    end(&mut tracker, -19, &firmware);
    assert_eq!(*firmware.signals.borrow(), []);
    assert_eq!(settle(&mut tracker, &firmware).0[0].delivery, Delivery::Absent);
    assert_eq!(tracker.counters.not_told, 1);
}

#[test]
fn firmware_that_fails_is_not_asked_again() {
    let (mut tracker, firmware) = (tracker(), Firmware::answering(&[-3]));
    refuse(&mut tracker, &firmware);
    assert_eq!(settle(&mut tracker, &firmware).0[0].delivery, Delivery::Failed(Status(-3)));
    assert_eq!(firmware.signals.borrow().len(), 1);
    assert_eq!(tracker.counters.not_told, 1);
}

#[test]
fn every_refusal_is_told_or_known_as_not_told_even_when_more_wait_than_there_is_room_for() {
    let (mut tracker, busy) = (tracker(), Firmware::answering(&[-2]));
    let (room, more) = (retry_queue::CAPACITY as u64, 10);
    for _ in 0..room + more {
        refuse(&mut tracker, &busy);
    }
    let logged = settle(&mut tracker, &Firmware::answering(&[0])).0.len() as u64;
    let counters = &tracker.counters;
    assert_eq!(counters.refused, room + more);
    assert_eq!(counters.told_by_module, room);
    assert_eq!(counters.not_told, more);
    assert_eq!(logged + counters.log_overruns, room + more);
    assert_eq!(counters.withdrawn, 1);
}

/// Returns a tracker that would promise an answer.
fn promising(firmware: &Firmware) -> Tracker {
    let mut tracker = tracker();
    tracker.promise(ProbeSet::default(), true);
    tell(&mut tracker, firmware);
    tracker
}

/// PUE-G-011
#[test]
fn work_item_that_looks_otherwise_withdraws_the_promise_once_and_answers_nothing() {
    let firmware = Firmware::answering(&[0]);
    let mut tracker = promising(&firmware);
    let pointer = HotplugRequest::from([0xC0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
    for _ in 0..3 {
        tracker.event_begins(INTERRUPTED, &dimm(), Token(7));
        let logged = || Some((dimm(), Token(7)));
        tracker.work_is_queued(INTERRUPTED, work(0x5000), pointer, logged);
        tracker.interrupt_ends(INTERRUPTED, 0, logged);
        tell(&mut tracker, &firmware);
        begin(&mut tracker, pointer);
        assert!(tracker.removal().is_none());
        tracker.request_ends();
        tell(&mut tracker, &firmware);
    }
    let Counters { withdrawn, dropped, requests, .. } = tracker.counters;
    assert_eq!((withdrawn, dropped, requests), (1, 0, 0));
    assert_eq!([(); 2].map(|()| tracker.next_to_log()), [Some(Line::KernelIsStrange), None]);
}

/// PUE-G-011: the work item says what is asked, and only the token is not known.
#[test]
fn event_that_looks_otherwise_leaves_the_removal_to_be_followed_without_a_promise() {
    let firmware = Firmware::answering(&[0]);
    let mut tracker = promising(&firmware);
    for requests in 1..=3 {
        tracker.distrust();
        tracker.work_is_queued(INTERRUPTED, work(0x5000), dimm(), || None);
        tracker.interrupt_ends(INTERRUPTED, 0, || None);
        tell(&mut tracker, &firmware);
        refuse(&mut tracker, &firmware);
        assert_eq!((tracker.counters.refused, tracker.counters.withdrawn), (requests, 1));
    }
    assert_eq!(*firmware.signals.borrow(), [FIRST; 3]);
}

#[test]
fn odd_request_in_a_log_is_the_hypervisors() {
    let firmware = Firmware::answering(&[0]);
    let mut tracker = promising(&firmware);
    let odd = HotplugRequest::from([9, 2, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    tracker.event_begins(INTERRUPTED, &odd, Token(7));
    tracker.work_is_queued(INTERRUPTED, work(0x5000), odd, || None);
    tracker.interrupt_ends(INTERRUPTED, 0, || None);
    tracker.work_begins(WORKER, work(0x5000), odd, Begin::default());
    assert!(tracker.removal().is_some_and(|removal| removal.token == Token(7)));
    assert_eq!(tracker.next_to_log(), None);
}
