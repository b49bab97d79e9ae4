// SPDX-License-Identifier: GPL-2.0-only

//! Tests of what the hypervisor is told of user space.

use super::*;
use crate::{
    logic::{
        event_log,
        handover::{self, Handed},
        history,
        observations::ProbeSet,
        refusal::Refusal,
        removal::{Begin, Task},
        request_queue::{WaitingRequest, Work},
        retry_queue,
        tracker::Progress,
    },
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features, Offer},
        reason::Reason,
        report::{Errno, Word},
        rtas::{EntitySense, Indicator, IsolationState, Status},
    },
};
use core::num::NonZeroUsize;
use std::{cell::RefCell, vec, vec::Vec};
use zerocopy::IntoBytes as _;

const INDICATOR: Indicator = Indicator(9100);
const FEATURES: Features = Features::TOKEN.union(Features::STARTED);
const READER: Process = Process(100);
const CHILD: Process = Process(200);
const DEVICE: DrcIndex = DrcIndex(0x4000_0008);

/// Platform that takes reports about every class.
struct Platform {
    /// The reports: indicator, connector and word.
    told: RefCell<Vec<(u32, DrcIndex, u32)>>,
    /// The answer about every connector.
    sense: Result<EntitySense, Status>,
    /// The status of every report.
    status: Status,
}

impl Rtas for Platform {
    fn entity_sense(&self, _connector: DrcIndex) -> Result<EntitySense, Status> {
        self.sense
    }

    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status {
        self.told.borrow_mut().push((indicator.0, connector, state));
        self.status
    }
}

struct Guest {
    tracker: Tracker,
    platform: Platform,
    logged: u32,
    /// True if probes fire.
    fires: bool,
}

impl Guest {
    /// Returns a guest whose module has not promised anything, with room for so many requests.
    fn with_room(room: usize) -> Self {
        let mut tracker = Tracker::new();
        tracker.make_room(
            Vec::leak(vec![WaitingRequest::EMPTY; 8]),
            Vec::leak(vec![Notice::EMPTY; retry_queue::CAPACITY]),
            Vec::leak(vec![Refusal::EMPTY; history::CAPACITY]),
            Vec::leak(vec![Handed::EMPTY; room]),
        );
        let (sense, status) = (Ok(EntitySense::PRESENT), Status::SUCCESS);
        let platform = Platform { told: RefCell::default(), sense, status };
        Self { tracker, platform, logged: 0, fires: true }
    }

    /// Returns a guest that has promised an answer to requests of every class.
    fn armed() -> Self {
        let mut guest = Self::with_room(handover::CAPACITY);
        guest.promise();
        assert_eq!(guest.words(), [disarm(), arm(Classes::all())]);
        guest
    }

    fn promise(&mut self) {
        let offer = Offer::new(INDICATOR, Classes::all(), Features::all());
        self.tracker.arming.discover(offer.as_bytes());
        self.tracker.follow_user_space();
        self.tracker.promise(ProbeSet(u32::MAX), true);
    }

    fn log(&mut self, n: u8, token: u16) {
        self.logged += 1;
        self.tracker.event_is_logged(self.logged, &event(n, token));
    }

    fn read(&mut self, n: u8, token: u16) -> bool {
        self.tracker.handover.reads(READER);
        self.tracker.event_is_read(READER, &pci(n), Token(token))
    }

    /// Has the reader's child work on device 8, with token 7.
    fn begin(&mut self) {
        self.log(8, 7);
        assert!(!self.read(8, 7));
        self.tracker.handover.forks(READER, CHILD);
        assert_eq!(self.words(), [Report::Started { token: Token(7) }]);
    }

    /// Runs the module's worker. Returns what the hypervisor was told since the last time.
    fn told(&mut self) -> Vec<(u32, DrcIndex, u32)> {
        loop {
            match self.tracker.tell(&self.platform).unwrap() {
                Progress::Told => {}
                Progress::CheckProbes => self.tracker.may_arm(self.fires),
                Progress::Nothing => return self.platform.told.take(),
            }
        }
    }

    /// Has the worker wake processes that read, of which there are none. Returns whether it did.
    fn wakes(&mut self) -> bool {
        self.tracker.take_check() && {
            self.tracker.probes_fire(self.fires);
            let begins = self.tracker.begin_waking();
            self.tracker.handover.all_are_woken();
            begins
        }
    }

    /// Does so, and returns reports, which are all that was told.
    fn words(&mut self) -> Vec<Report> {
        let told = self.told().into_iter();
        told.map(|(indicator, _, word)| {
            assert_eq!(indicator, INDICATOR.0);
            Word(word).report().unwrap()
        })
        .collect()
    }
}

fn pci(n: u8) -> HotplugRequest {
    HotplugRequest::from([5, 2, 2, 0x80, 0x40, 0, 0, n, 0, 0, 0, 0])
}

/// Returns an event for device `n`, read from a log.
fn event(n: u8, token: u16) -> ForUserSpace {
    let mut log = [0; event_log::SIZE];
    log[..8].copy_from_slice(&[6, 0xE5, 0, 0xE5, 0, 0, 0, 40]);
    log[20..24].copy_from_slice(b"IBM\0");
    log[24..32].copy_from_slice(&[b'H', b'P', 0, 24, 1, 0, 0, 0]);
    log[32..44].copy_from_slice(&[5, 2, 2, 0x80, 0x40, 0, 0, n, 0, 0, 0, 0]);
    log[46..48].copy_from_slice(&token.to_be_bytes());
    event_log::for_user_space(&log)
}

fn arm(classes: Classes) -> Report {
    Report::Arm { classes, features: FEATURES }
}

fn disarm() -> Report {
    Report::Disarm
}

fn refused(token: u16, reason: Reason, errno: u8) -> Report {
    Report::Refused { token: Token(token), reason, errno: Errno(errno) }
}

/// PUE-G-070
#[test]
fn request_that_nobody_reads_is_refused_by_its_token_on_its_connector() {
    let mut guest = Guest::armed();
    guest.log(8, 7);
    assert_eq!(guest.told(), []);
    guest.tracker.handover.nobody_reads(1);
    let report = refused(7, Reason::NO_AGENT, 0).word().0;
    assert_eq!(guest.told(), [(INDICATOR.0, DEVICE, report)]);
    assert!(guest.read(8, 7), "it is void");
    assert_eq!((guest.tracker.counters.refused, guest.tracker.counters.reported), (1, 1));
}

/// PUE-G-070, PUE-G-036
#[test]
fn child_that_fails_is_the_reason_with_its_status() {
    let mut guest = Guest::armed();
    guest.begin();
    guest.tracker.handover.exits(CHILD, 0xFF00);
    assert_eq!(guest.words(), [refused(7, Reason::AGENT_FAILED, 255)]);
}

#[test]
fn agent_that_has_told_why_is_not_contradicted() {
    let mut guest = Guest::armed();
    guest.begin();
    guest.platform.status = Status::ALREADY;
    guest.tracker.handover.exits(CHILD, 0x0100);
    assert_eq!(guest.words(), [refused(7, Reason::AGENT_FAILED, 1)]);
    let counters = &guest.tracker.counters;
    assert_eq!((counters.refused, counters.told_before, counters.reported), (1, 1, 0));
}

/// PUE-G-034, PUE-G-036
#[test]
fn device_that_was_given_back_is_done_whatever_the_child_says() {
    for (sense, status, report) in [
        (EntitySense::EMPTY, 0, Report::Done { token: Token(7) }),
        (EntitySense::EMPTY, 0xFF00, Report::Done { token: Token(7) }),
        (EntitySense::UNUSABLE, 9, Report::Done { token: Token(7) }),
        (EntitySense::PRESENT, 0, refused(7, Reason::INCOMPLETE, 0)),
    ] {
        let mut guest = Guest::armed();
        guest.begin();
        guest.platform.sense = Ok(sense);
        guest.tracker.handover.exits(CHILD, status);
        assert_eq!(guest.words(), [report]);
        let released = u64::from(sense != EntitySense::PRESENT);
        let counters = &guest.tracker.counters;
        assert_eq!((counters.released, counters.refused), (released, 1 - released));
    }
}

/// PUE-G-050
#[test]
fn firmware_that_was_busy_about_what_needs_no_report_leaves_nothing_to_do() {
    let mut guest = Guest::with_room(handover::CAPACITY);
    guest.log(8, 7);
    assert!(guest.tracker.is_unsettled(), "it has to be found out who reads");
    assert_eq!(guest.tracker.handover.take_look(), Some(1));
    assert!(!guest.tracker.is_unsettled());
    guest.tracker.handover.nobody_reads(1);
    guest.platform.sense = Err(Status::BUSY);
    assert_eq!(guest.tracker.tell_now(&guest.platform), Progress::Nothing);
    assert!(guest.tracker.is_unsettled());
    guest.platform.sense = Ok(EntitySense::EMPTY);
    assert_eq!(guest.told(), []);
    assert_eq!(guest.tracker.counters.released, 1);
    assert!(!guest.tracker.is_unsettled());
}

#[test]
fn firmware_that_is_busy_about_the_next_request_has_been_told_of_the_one_before() {
    let mut guest = Guest::armed();
    guest.log(8, 7);
    guest.tracker.handover.nobody_reads(1);
    guest.tracker.probes_fire(false);
    guest.platform.sense = Err(Status::BUSY);
    assert_eq!(guest.tracker.tell_now(&guest.platform), Progress::Nothing);
    assert!(guest.tracker.is_unsettled());
    guest.platform.sense = Ok(EntitySense::PRESENT);
    let told = guest.told();
    let hint = (Indicator::ISOLATION_STATE.0, DEVICE, IsolationState::UNISOLATE.0);
    assert_eq!(told, [(INDICATOR.0, DrcIndex(0), disarm().word().0), hint]);
    assert!(!guest.tracker.is_deferred);
}

#[test]
fn probe_that_has_fired_shows_as_much_as_the_canary() {
    let mut guest = Guest::armed();
    let cpu = HotplugRequest::from([1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0]);
    let (task, work) = (Task(1), Work(NonZeroUsize::MIN));
    guest.tracker.probes_fire(false);
    assert_eq!(guest.words(), [disarm()]);
    guest.tracker.event_begins(task, &cpu, Token(7));
    guest.tracker.work_is_queued(task, work, cpu, || panic!("the log is read"));
    assert!(guest.tracker.interrupt_ends(task, 0, || panic!("the log is read")));
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    guest.tracker.probes_fire(false);
    assert_eq!(guest.words(), [disarm()]);
    guest.tracker.work_begins(task, work, cpu, Begin::default());
    guest.tracker.removal_of(task).unwrap().handler_ends(0, false);
    assert!(guest.tracker.work_ends(task, 0));
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
}

#[test]
fn refusal_is_hinted_at_if_the_class_is_not_armed() {
    let mut guest = Guest::with_room(handover::CAPACITY);
    guest.tracker.follow_user_space();
    guest.tracker.promise(ProbeSet(u32::MAX), true);
    guest.log(8, 0);
    guest.tracker.handover.nobody_reads(1);
    let hint = (Indicator::ISOLATION_STATE.0, DEVICE, IsolationState::UNISOLATE.0);
    assert_eq!(guest.told(), [hint]);
}

/// PUE-G-012, PUE-G-018, PUE-G-073
#[test]
fn sight_that_is_lost_is_answered_and_withdraws_these_classes_until_all_is_answered() {
    let mut guest = Guest::armed();
    guest.begin();
    guest.tracker.reading_is_missed(1);
    let (narrow, wide) = (arm(Classes::IN_KERNEL), arm(Classes::all()));
    assert_eq!(guest.words(), [refused(7, Reason::UNATTRIBUTED, 0), narrow]);
    assert!(guest.wakes());
    assert_eq!(guest.words(), [wide]);
    guest.tracker.reading_is_missed(1);
    assert!(!guest.wakes());
    assert_eq!(guest.words(), []);
    assert_eq!((guest.tracker.counters.withdrawn, guest.tracker.counters.unseen), (1, 1));
}

/// PUE-G-017, PUE-G-073
#[test]
fn event_that_looks_otherwise_withdraws_these_classes() {
    let mut guest = Guest::armed();
    guest.tracker.event_is_logged(1, &ForUserSpace::Strange);
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    assert!(guest.wakes());
    assert_eq!(guest.words(), [arm(Classes::all())]);
}

/// PUE-G-073, PUE-G-031
#[test]
fn log_that_is_over_withdraws_these_classes_for_good() {
    let mut guest = Guest::armed();
    guest.tracker.log_is_over();
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    guest.log(8, 7);
    let hint = (Indicator::ISOLATION_STATE.0, DEVICE, IsolationState::UNISOLATE.0);
    assert_eq!(guest.told(), [hint]);
    assert_eq!(guest.tracker.counters.dropped, 1);
}

/// PUE-G-073
#[test]
fn request_without_room_withdraws_these_classes_until_there_is_room() {
    let mut guest = Guest::with_room(1);
    guest.promise();
    guest.words();
    guest.log(8, 7);
    guest.log(16, 8);
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    guest.read(8, 7);
    guest.tracker.handover.reads(READER);
    let told = guest.told();
    assert_eq!(told.last(), Some(&(INDICATOR.0, DrcIndex(0), arm(Classes::all()).word().0)));
}

/// PUE-G-011, PUE-G-016
#[test]
fn classes_are_armed_when_every_process_that_read_unseen_has_been_seen() {
    let mut guest = Guest::with_room(handover::CAPACITY);
    guest.tracker.handover.sleeps(READER);
    guest.promise();
    assert_eq!(guest.words(), [disarm(), arm(Classes::IN_KERNEL)]);
    assert!(!guest.tracker.is_user_space_unsettled());
    guest.tracker.handover.reads(READER);
    assert!(guest.tracker.is_user_space_unsettled());
    assert_eq!(guest.words(), [arm(Classes::all())]);
}

/// PUE-G-016: ARM without these classes names others, so that probes are shown to fire before it.
#[test]
fn nothing_stays_armed_if_probes_are_silent_when_these_classes_are_withdrawn() {
    let mut guest = Guest::armed();
    guest.fires = false;
    guest.tracker.log_is_over();
    assert_eq!(guest.words(), [disarm()]);
}

#[test]
fn event_that_no_probe_saw_is_known_from_the_log_at_the_end_of_the_interrupt() {
    let mut guest = Guest::armed();
    assert!(!guest.tracker.log_is_missed(0, 1, || panic!("nothing was missed")));
    assert!(guest.tracker.log_is_missed(1, 1, || event(8, 7)));
    guest.tracker.handover.nobody_reads(1);
    assert_eq!(guest.words(), [refused(7, Reason::NO_AGENT, 0)]);
    guest.log(16, 8);
    let (narrow, wide) = (arm(Classes::IN_KERNEL), arm(Classes::all()));
    // The log has the event that was seen, so that another one was missed.
    assert!(guest.tracker.log_is_missed(2, 3, || event(16, 8)));
    assert_eq!(guest.words(), [refused(8, Reason::UNATTRIBUTED, 0), narrow]);
    assert!(guest.wakes());
    assert_eq!(guest.words(), [wide]);
    assert!(guest.tracker.log_is_missed(4, 4, || event(24, 9)));
    assert_eq!(guest.words(), [narrow]);
}

/// PUE-G-012: probes are switched off one after the other, and the canary's is not the first.
#[test]
fn event_that_comes_while_probes_are_being_switched_withdraws_these_classes() {
    let mut guest = Guest::armed();
    guest.tracker.probes_fire(true);
    guest.tracker.event_is_unseen();
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    guest.tracker.event_is_unseen();
    assert_eq!(guest.words(), [], "nothing of user space is promised");
    assert!(guest.wakes());
    assert_eq!(guest.words(), [arm(Classes::all())]);
}

/// PUE-G-012
#[test]
fn these_classes_are_not_armed_while_nothing_is() {
    let mut guest = Guest::armed();
    guest.tracker.probes_fire(false);
    guest.tracker.lose_sight_of_user_space();
    assert_eq!(guest.words(), [disarm()]);
    guest.tracker.probes_fire(true);
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    assert!(guest.wakes());
    assert_eq!(guest.words(), [arm(Classes::all())]);
}

/// PUE-G-011, PUE-G-012: what the reader does meanwhile is not seen, nor what it reads next if it
/// sleeps when probes fire again.
#[test]
fn reader_that_was_not_seen_to_begin_is_woken_before_these_classes_are_armed_again() {
    let mut guest = Guest::armed();
    guest.log(8, 7);
    guest.tracker.probes_fire(false);
    guest.fires = false;
    assert!(!guest.wakes());
    assert_eq!(guest.words(), [disarm()]);
    guest.fires = true;
    guest.tracker.probes_fire(true);
    assert_eq!(guest.words(), [arm(Classes::IN_KERNEL)]);
    assert!(guest.tracker.take_check() && guest.tracker.begin_waking());
    assert_eq!(guest.words(), [], "not all readers are known");
    guest.tracker.handover.sleeps(READER);
    guest.tracker.handover.sleeps(READER);
    guest.tracker.handover.all_are_woken();
    assert_eq!(guest.words(), []);
    assert!(!guest.wakes(), "once is enough");
    assert!(!guest.read(8, 7), "nobody has answered it");
    assert_eq!(guest.words(), []);
    guest.tracker.handover.reads(READER);
    let told = guest.told();
    assert_eq!(told.last(), Some(&(INDICATOR.0, DrcIndex(0), arm(Classes::all()).word().0)));
}

/// PUE-G-012, PUE-G-018: the next hot plug interrupt may never come.
#[test]
fn end_of_a_process_leads_to_a_check_of_probes_while_a_request_may_be_read_unseen() {
    let mut guest = Guest::armed();
    guest.begin();
    guest.log(16, 8);
    assert!(guest.tracker.handover.follows_processes());
    guest.fires = false;
    guest.tracker.handover.exits(CHILD, 0x0100);
    assert!(guest.tracker.is_user_space_unsettled());
    assert_eq!(guest.words(), [refused(7, Reason::AGENT_FAILED, 1)]);
    assert!(!guest.wakes());
    assert_eq!(guest.words(), [disarm()]);
}

/// The end of the child is seen without probes.
#[test]
fn child_that_was_known_before_probes_ceased_to_fire_is_followed_to_its_end() {
    let mut guest = Guest::armed();
    guest.begin();
    guest.tracker.probes_fire(false);
    assert_eq!(guest.words(), [disarm()]);
    guest.tracker.handover.exits(CHILD, 0x0100);
    let hint = (Indicator::ISOLATION_STATE.0, DEVICE, IsolationState::UNISOLATE.0);
    assert_eq!(guest.told(), [hint]);
}

/// Without a token it could be taken for a later request for the same device, which would be void.
#[test]
fn event_without_a_token_is_not_void_after_sight_was_lost() {
    let mut guest = Guest::armed();
    guest.log(8, 0);
    guest.tracker.reading_is_missed(1);
    guest.log(8, 0);
    assert!(!guest.read(8, 0));
}
