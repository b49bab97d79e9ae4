// SPDX-License-Identifier: GPL-2.0-only

//! Guest for the tests: the module's logic in a kernel that does what the probes see of Linux.

use crate::hypervisor::Hypervisor;
use papr_unplug::{
    event::RequestId,
    wire::{
        drc::DrcIndex,
        hotplug::{Action, HotplugRequest, Target},
        reason::Reason,
        report::Errno,
        rtas::{Indicator, IsolationState, Status},
    },
};
use papr_unplug_guest::logic::{
    event_log,
    handover::{self, Handed},
    history,
    notice::Notice,
    observations::{LmbFlags, ProbeSet},
    refusal::Refusal,
    removal::{Begin, Removal, Task},
    request_queue::{self, WaitingRequest},
    retry_queue,
    rtas::{Busy, Rtas},
    tracker::{Follow, Line, Progress, Tracker},
};
use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroUsize,
};

const INTERRUPTED: Task = Task(0xC000_1000);
const WORKER: Task = Task(0xC000_2000);

/// Treatment of a request by the kernel that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The kernel queues a work item.
    Queued,
    /// The kernel has no memory for a work item.
    Dropped,
    /// The kernel queues a work item, and no probe sees `queue_hotplug_event`.
    QueuedUnseen,
    /// The kernel has no memory, and no probe sees `queue_hotplug_event`.
    DroppedUnseen,
}

/// Course of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Every connector is given back.
    Release,
    /// The last connector refuses; LMBs that were taken before are brought back, and the kernel
    /// sends a hint.
    Refuse(Reason, Errno),
    /// The last connector refuses, and no probe sees the removal.
    RefuseUnseen,
    /// Every connector is given back, and no probe sees the removal.
    ReleaseUnseen,
    /// The first LMB is given back, the others are not, and the kernel returns success.
    Half,
}

struct Work {
    item: request_queue::Work,
    request: RequestId,
    asked: HotplugRequest,
}

/// A guest with the module loaded.
pub(crate) struct Guest {
    pub(crate) tracker: Tracker,
    queue: VecDeque<Work>,
    lost: HashSet<DrcIndex>,
    next: usize,
    arrivals_unseen: u64,
    /// True if probes fire.
    pub(crate) fires: bool,
    /// The number of requests for which the module has room.
    pub(crate) room: usize,
    /// True if the module knows where the kernel reads the log of an event.
    pub(crate) knows_the_log: bool,
    /// True if interrupts have threads, and come again while their thread runs.
    pub(crate) has_threads: bool,
}

impl Guest {
    /// Boots the kernel and loads the module, whose probes see everything.
    pub(crate) fn load(hypervisor: &Hypervisor) -> Self {
        let mut guest = Self::boot();
        guest.begin(hypervisor);
        guest
    }

    /// Boots the kernel without the module.
    pub(crate) fn boot() -> Self {
        let mut guest = Self {
            tracker: Tracker::new(),
            queue: VecDeque::new(),
            lost: HashSet::new(),
            next: 0xC001_0000,
            arrivals_unseen: 0,
            fires: true,
            room: request_queue::CAPACITY,
            knows_the_log: false,
            has_threads: false,
        };
        guest.make_room();
        guest
    }

    /// Loads the module again; the kernel has requests in its queue.
    pub(crate) fn reload(&mut self, hypervisor: &Hypervisor) {
        self.tracker = Tracker::new();
        self.arrivals_unseen = 0;
        self.knows_the_log = false;
        self.begin(hypervisor);
    }

    fn make_room(&mut self) {
        self.tracker.make_room(
            Vec::leak(vec![WaitingRequest::EMPTY; self.room]),
            Vec::leak(vec![Notice::EMPTY; retry_queue::CAPACITY]),
            Vec::leak(vec![Refusal::EMPTY; history::CAPACITY]),
            Vec::leak(vec![Handed::EMPTY; handover::CAPACITY]),
        );
    }

    fn begin(&mut self, hypervisor: &Hypervisor) {
        self.make_room();
        self.tracker.arming.discover(&hypervisor.property());
        self.tracker.promise(ProbeSet(u32::MAX), true);
        self.settle(hypervisor);
    }

    /// Unloads the module.
    pub(crate) fn unload(&mut self, hypervisor: &Hypervisor) {
        while self.tracker.close() {
            self.tell(hypervisor);
        }
        self.settle(hypervisor);
        self.stop(hypervisor);
    }

    /// Has the module withdraw its promise for good.
    pub(crate) fn stop(&mut self, hypervisor: &Hypervisor) {
        self.tracker.withdraw_for_good();
        self.settle(hypervisor);
    }

    /// Tells what was decided, as the module does after each probe.
    fn tell(&mut self, hypervisor: &Hypervisor) {
        loop {
            match self.tracker.tell_now(hypervisor) {
                Progress::Told => {}
                Progress::CheckProbes => self.tracker.may_arm(self.fires),
                Progress::Nothing => return,
            }
        }
    }

    /// Delivers the oldest event to the kernel. Returns whether there was one.
    pub(crate) fn interrupt(&mut self, hypervisor: &Hypervisor, arrival: Arrival) -> bool {
        let Some(ask) = hypervisor.asks.borrow_mut().pop_front() else { return false };
        let section = ask.section();
        let section = section.as_ref();
        let asked = HotplugRequest::from_bytes(&section[8..]).unwrap();
        let item = request_queue::Work(NonZeroUsize::new(self.next).unwrap());
        self.next += 0x100;

        let token = token_of(section);
        self.come_again();
        let is_seen = !matches!(arrival, Arrival::QueuedUnseen | Arrival::DroppedUnseen);
        if is_seen && self.fires {
            let follow = self.tracker.event_begins(INTERRUPTED, &asked, token);
            assert_eq!(follow, Follow::Return);
            self.knows_the_log = true;
        } else if self.fires {
            self.arrivals_unseen += 1;
        }
        self.come_again();
        let logged = self.knows_the_log.then_some((asked, token));
        if !matches!(arrival, Arrival::Dropped | Arrival::DroppedUnseen) {
            self.tracker.work_is_queued(INTERRUPTED, item, asked, || logged);
            self.queue.push_back(Work { item, request: ask.request, asked });
        }
        self.come_again();
        if is_seen && self.fires {
            self.tracker.event_ends();
            self.tell(hypervisor);
        }
        let is_seen = !self.has_threads && {
            self.tracker.interrupt_ends(INTERRUPTED, self.arrivals_unseen, || logged)
        };
        self.come_again();
        if !is_seen {
            self.tracker.probes_fire(self.fires);
        }
        self.tell(hypervisor);
        true
    }

    fn come_again(&mut self) {
        if self.has_threads {
            self.tracker.interrupt_wakes_thread(self.arrivals_unseen);
        }
    }

    /// Has the kernel's worker make the oldest removal. Returns its request.
    pub(crate) fn work(&mut self, hypervisor: &Hypervisor, plan: Plan) -> Option<RequestId> {
        let Work { item, request, asked } = self.queue.pop_front()?;
        self.tracker.work_begins(WORKER, item, asked, Begin::default());
        self.tell(hypervisor);
        let returned = self.make(hypervisor, &asked, plan);
        if self.fires && !matches!(plan, Plan::RefuseUnseen | Plan::ReleaseUnseen) {
            self.removal().handler_ends(returned, false);
        }
        let is_seen = self.tracker.work_ends(WORKER, 0);
        self.tracker.request_ends();
        if !is_seen {
            self.tracker.probes_fire(self.fires);
        }
        self.tell(hypervisor);
        Some(request)
    }

    /// Has the kernel's worker begin the oldest removal. Returns its request.
    pub(crate) fn hang(&mut self, hypervisor: &Hypervisor) -> RequestId {
        let work = self.queue.pop_front().unwrap();
        self.tracker.work_begins(WORKER, work.item, work.asked, Begin::default());
        self.tell(hypervisor);
        work.request
    }

    /// Ends the removal of [`Self::hang`], which is refused.
    pub(crate) fn give_up(&mut self, hypervisor: &Hypervisor) {
        if let Some(removal) = self.tracker.removal_of(WORKER) {
            removal.handler_ends(-22, false);
        }
        self.tracker.work_ends(WORKER, 0);
        self.tracker.request_ends();
        self.tell(hypervisor);
    }

    /// Has the administrator of the guest request a removal.
    pub(crate) fn remove_by_hand(&mut self, hypervisor: &Hypervisor) {
        self.tracker.administrator_begins(Action::REMOVE);
        self.tell(hypervisor);
    }

    /// Runs the module's worker. Returns the refusals for the kernel log.
    pub(crate) fn settle(&mut self, hypervisor: &Hypervisor) -> Vec<Refusal> {
        loop {
            match self.tracker.tell(hypervisor) {
                Ok(Progress::Told) => {}
                Ok(Progress::CheckProbes) => self.tracker.may_arm(self.fires),
                Ok(Progress::Nothing) => break,
                Err(Busy(status)) => hypervisor.pause(status),
            }
        }
        let lines = std::iter::from_fn(|| self.tracker.next_to_log());
        let refusals = lines.filter_map(|line| match line {
            Line::Refusal(refusal) => Some(refusal),
            _ => None,
        });
        let refusals = refusals.collect();
        assert!(!self.tracker.is_unsettled());
        refusals
    }

    /// Has the module call its canary, as it does while probes are off.
    pub(crate) fn canary(&mut self, hypervisor: &Hypervisor) {
        self.tracker.probes_fire(self.fires);
        self.tell(hypervisor);
    }

    fn removal(&mut self) -> &mut Removal {
        self.tracker.removal_of(WORKER).unwrap()
    }

    fn make(&mut self, hypervisor: &Hypervisor, asked: &HotplugRequest, plan: Plan) -> i32 {
        let (first, count) = match asked.target() {
            Target::Index(index) => (index, 1),
            Target::IndexedCount { count, first } => (first, count),
            other => panic!("{other:?}"),
        };
        let held: Vec<_> = (0..count)
            .map(|n| DrcIndex(first.0 + n))
            .filter(|drc| !self.lost.contains(drc))
            .collect();
        match plan {
            _ if held.is_empty() => return if count == 1 && first.0 >> 28 == 1 { -19 } else { 0 },
            Plan::Release | Plan::ReleaseUnseen => {
                held.iter().for_each(|drc| self.release(hypervisor, *drc))
            }
            Plan::Half => self.release(hypervisor, held[0]),
            Plan::RefuseUnseen => return -22,
            Plan::Refuse(reason, errno) => return self.refuse(hypervisor, &held, reason, errno),
        }
        0
    }

    fn release(&mut self, hypervisor: &Hypervisor, connector: DrcIndex) {
        self.removal().release_begins(connector);
        for indicator in [Indicator::ISOLATION_STATE, Indicator::ALLOCATION_STATE] {
            assert_eq!(hypervisor.set_indicator(indicator, connector, 0), Status::SUCCESS);
        }
        self.removal().release_ends(0);
        self.lost.insert(connector);
    }

    fn refuse(
        &mut self,
        hypervisor: &Hypervisor,
        held: &[DrcIndex],
        reason: Reason,
        errno: Errno,
    ) -> i32 {
        let removal = self.removal();
        let (last, before) = held.split_last().unwrap();
        for lmb in before {
            removal.lmb_begins(*lmb, LmbFlags::ASSIGNED);
            removal.lmb_ends(0, ProbeSet::default());
        }
        removal.lmb_begins(*last, LmbFlags::ASSIGNED);
        match reason {
            Reason::MEMORY_VETO => removal.observations.notifiers_end(-i32::from(errno.0)),
            Reason::UNMOVABLE_PAGE => {
                removal.observations.isolation_begins();
                removal.observations.isolation_ends(-i32::from(errno.0));
            }
            Reason::UNATTRIBUTED => {}
            other => panic!("{other}"),
        }
        removal.lmb_ends(-i32::from(errno.0), ProbeSet::default());
        for lmb in before {
            hypervisor.set_indicator(Indicator::ISOLATION_STATE, *lmb, IsolationState::UNISOLATE.0);
            removal.unisolate_ends(0);
        }
        -22
    }
}

/// Returns the token of a section, read as the module does: from the event log around it.
fn token_of(section: &[u8]) -> papr_unplug::wire::token::Token {
    let mut log = vec![6, 0xE5, 0, 0xE5, 0, 0, 0, 16 + section.len() as u8];
    log.extend([0x82, 0, 0x8E, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'I', b'B', b'M', 0]);
    let mut around = [0; event_log::SIZE];
    around[event_log::BEFORE - log.len()..event_log::BEFORE].copy_from_slice(&log);
    around[event_log::BEFORE..][..section.len()].copy_from_slice(section);
    event_log::request(&around).unwrap().1
}
