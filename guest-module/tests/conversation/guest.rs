// SPDX-License-Identifier: GPL-2.0-only

//! The guest: the module's logic, around a kernel that does what Linux does, as far as the module's probes see it.

use crate::hypervisor::Hypervisor;
use papr_unplug::{
    event::RequestId,
    wire::{
        drc::DrcIndex,
        hotplug::{HotplugRequest, Target},
        reason::Reason,
        report::Errno,
        rtas::{Indicator, IsolationState, Status},
    },
};
use papr_unplug_guest::logic::{
    arrivals,
    attempt::{Ending, Task},
    clues::{LmbFlags, Senses},
    event_log,
    refusal::Refusal,
    rtas::Rtas,
    watch::{Follow, Origin, Watch},
};
use std::collections::{HashSet, VecDeque};

const INTERRUPTED: Task = Task(0xC000_1000);
const WORKER: Task = Task(0xC000_2000);
const ADMINISTRATOR: Task = Task(0xC000_3000);
/// What the kernel's work on a request calls.
const FUNCTION: usize = 0xC000_4000;

/// What becomes of a request when it comes to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is queued.
    Queued,
    /// There is no memory for it.
    Dropped,
    /// It is queued, and no probe saw it come.
    QueuedUnseen,
    /// There is no memory for it, and no probe saw it come.
    DroppedUnseen,
}

/// What becomes of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Everything is given back.
    Release,
    /// The last connector refuses; what was taken of a DIMM before it is put back, and the kernel says so.
    Refuse(Reason, Errno),
    /// The same, and no probe sees any of it.
    RefuseUnseen,
    /// The first LMB is given back, the others are not, and the kernel takes that for a success.
    Half,
}

struct Work {
    item: arrivals::Work,
    request: RequestId,
    asked: HotplugRequest,
    is_known: bool,
}

/// A guest with the module loaded.
pub(crate) struct Guest {
    pub(crate) watch: Watch,
    queue: VecDeque<Work>,
    lost: HashSet<DrcIndex>,
    next: usize,
    arrivals_unseen: u64,
    /// Whether the module knows where the kernel reads an event's log, and what its work on a request calls.
    pub(crate) knows_the_log: bool,
    pub(crate) knows_work: bool,
    attempts_unseen: u64,
}

impl Guest {
    /// The module is loaded, and sees everything.
    pub(crate) fn load(hypervisor: &Hypervisor) -> Self {
        let guest = Self::boot();
        guest.watch.arming.discover(&hypervisor.property());
        guest.watch.promise(Senses(u32::MAX), true, hypervisor);
        guest
    }

    /// The kernel has booted, and the module is not loaded.
    pub(crate) fn boot() -> Self {
        Self {
            watch: Watch::new(),
            queue: VecDeque::new(),
            lost: HashSet::new(),
            next: 0xC001_0000,
            arrivals_unseen: 0,
            knows_the_log: false,
            knows_work: false,
            attempts_unseen: 0,
        }
    }

    /// The module is loaded again, with what the kernel has queued meanwhile.
    pub(crate) fn reload(&mut self, hypervisor: &Hypervisor) {
        self.watch = Watch::new();
        (self.arrivals_unseen, self.attempts_unseen) = (0, 0);
        (self.knows_the_log, self.knows_work) = (false, false);
        self.queue.iter_mut().for_each(|work| work.is_known = false);
        self.watch.arming.discover(&hypervisor.property());
        self.watch.promise(Senses(u32::MAX), true, hypervisor);
    }

    /// The module is unloaded.
    pub(crate) fn unload(&mut self, hypervisor: &Hypervisor) {
        self.watch.close(hypervisor);
        self.settle(hypervisor);
        self.watch.withdraw_for_good(hypervisor);
    }

    /// The kernel takes the oldest event that there is for it. Returns whether there was one.
    pub(crate) fn interrupt(&mut self, hypervisor: &Hypervisor, arrival: Arrival) -> bool {
        let Some(ask) = hypervisor.asks.borrow_mut().pop_front() else { return false };
        let section = ask.section();
        let section = section.as_ref();
        let asked = HotplugRequest::from_bytes(&section[8..]).unwrap();
        let item = arrivals::Work(self.next);
        self.next += 0x100;

        let token = token_of(section);
        let is_seen = !matches!(arrival, Arrival::QueuedUnseen | Arrival::DroppedUnseen);
        if is_seen {
            assert_eq!(self.watch.event_begins(INTERRUPTED, &asked, token), Follow::Return);
            self.knows_the_log = true;
        } else {
            self.arrivals_unseen += 1;
        }
        let logged = || self.knows_the_log.then_some((asked, token));
        if !matches!(arrival, Arrival::Dropped | Arrival::DroppedUnseen) {
            self.watch.work_is_queued(INTERRUPTED, item, FUNCTION, || Some(asked), logged);
            self.knows_work |= is_seen;
            self.queue.push_back(Work { item, request: ask.request, asked, is_known: self.knows_work });
        }
        if is_seen {
            self.watch.event_ends(hypervisor);
        }
        self.watch.interrupt_ends(INTERRUPTED, self.arrivals_unseen, logged, hypervisor);
        true
    }

    /// The worker of the kernel's workqueue takes up the oldest request, and this becomes of it. Returns which it was.
    pub(crate) fn work(&mut self, hypervisor: &Hypervisor, plan: Plan) -> Option<RequestId> {
        let Work { item, request, asked, is_known } = self.queue.pop_front()?;
        // Of a request whose arrival no probe saw either, nobody would ever know.
        let is_seen = plan != Plan::RefuseUnseen || !is_known;
        self.attempts_unseen += u64::from(!is_seen);
        self.watch.work_begins(WORKER, item, hypervisor);
        if is_seen {
            let follow = self.begin(hypervisor, &asked);
            assert_eq!(follow, Follow::Return);
        }
        let returned = self.attempt(hypervisor, &asked, plan);
        if is_seen {
            self.watch.request_ends(WORKER, &Ending { returned, ..Ending::default() }, hypervisor);
        }
        self.watch.work_ends(WORKER, hypervisor);
        Some(request)
    }

    /// The worker begins with the oldest request and does not come to its end.
    pub(crate) fn hang(&mut self, hypervisor: &Hypervisor) -> RequestId {
        let work = self.queue.pop_front().unwrap();
        self.watch.work_begins(WORKER, work.item, hypervisor);
        self.begin(hypervisor, &work.asked);
        work.request
    }

    /// The removal at which it hung is refused after all.
    pub(crate) fn give_up(&mut self, hypervisor: &Hypervisor) {
        self.watch.request_ends(WORKER, &Ending { returned: -22, ..Ending::default() }, hypervisor);
        self.watch.work_ends(WORKER, hypervisor);
    }

    /// The administrator of the guest asks for the same, and is refused.
    pub(crate) fn remove_by_hand(&mut self, hypervisor: &Hypervisor, first: DrcIndex) {
        let [a, b, c, d] = first.0.to_be_bytes();
        let asked = HotplugRequest::from([2, 2, 4, 0xFF, 0, 0, 0, 2, a, b, c, d]);
        let follow = self.watch.request_begins(ADMINISTRATOR, Origin::Guest, &asked, 0, hypervisor);
        assert_eq!(follow, Follow::Nothing);
        self.watch.request_ends(ADMINISTRATOR, &Ending { returned: -22, ..Ending::default() }, hypervisor);
    }

    /// The module's own worker does what there is to do, and these are the refusals that come to the kernel log.
    pub(crate) fn settle(&self, hypervisor: &Hypervisor) -> Vec<Refusal> {
        let mut logged = Vec::new();
        if self.watch.is_unsettled() {
            self.watch.settle(hypervisor);
            self.watch.log(|refusal| logged.push(*refusal));
        }
        assert!(!self.watch.is_unsettled());
        logged
    }

    fn begin(&self, hypervisor: &Hypervisor, asked: &HotplugRequest) -> Follow {
        let missed = self.attempts_unseen;
        self.watch.request_begins(WORKER, Origin::Hypervisor, asked, missed, hypervisor)
    }

    fn attempt(&mut self, hypervisor: &Hypervisor, asked: &HotplugRequest, plan: Plan) -> i32 {
        let (first, count) = match asked.target() {
            Target::Index(index) => (index, 1),
            Target::IndexedCount { count, first } => (first, count),
            other => panic!("{other:?}"),
        };
        let held: Vec<_> = (0..count).map(|n| DrcIndex(first.0 + n)).filter(|drc| !self.lost.contains(drc)).collect();
        match plan {
            _ if held.is_empty() => return if count == 1 && first.0 >> 28 == 1 { -19 } else { 0 },
            Plan::Release => held.iter().for_each(|drc| self.release(hypervisor, *drc)),
            Plan::Half => self.release(hypervisor, held[0]),
            Plan::RefuseUnseen => return -22,
            Plan::Refuse(reason, errno) => return self.refuse(hypervisor, &held, reason, errno),
        }
        0
    }

    fn release(&mut self, hypervisor: &Hypervisor, connector: DrcIndex) {
        if let Some(attempt) = self.watch.followed(WORKER) {
            attempt.release_begins(connector);
        }
        for indicator in [Indicator::ISOLATION_STATE, Indicator::ALLOCATION_STATE] {
            assert_eq!(hypervisor.set_indicator(indicator, connector, 0), Status::SUCCESS);
        }
        if let Some(attempt) = self.watch.followed(WORKER) {
            attempt.release_ends(0);
        }
        self.lost.insert(connector);
    }

    fn refuse(&mut self, hypervisor: &Hypervisor, held: &[DrcIndex], reason: Reason, errno: Errno) -> i32 {
        let attempt = self.watch.followed(WORKER).unwrap();
        let (last, before) = held.split_last().unwrap();
        for lmb in before {
            attempt.lmb_begins(*lmb, LmbFlags::ASSIGNED);
            attempt.lmb_ends(0, Senses::default());
        }
        attempt.lmb_begins(*last, LmbFlags::ASSIGNED);
        match reason {
            Reason::MEMORY_VETO => attempt.clues.notifiers_end(-i32::from(errno.0)),
            Reason::UNMOVABLE_PAGE => {
                attempt.clues.isolation_begins();
                attempt.clues.isolation_ends(-i32::from(errno.0));
            }
            Reason::UNATTRIBUTED => {}
            other => panic!("{other}"),
        }
        attempt.lmb_ends(-i32::from(errno.0), Senses::default());
        for lmb in before {
            hypervisor.set_indicator(Indicator::ISOLATION_STATE, *lmb, IsolationState::UNISOLATE.0);
            attempt.unisolate_ends(0);
        }
        -22
    }
}

/// The token, read as the module reads it: where firmware wrote the log.
fn token_of(section: &[u8]) -> papr_unplug::wire::token::Token {
    let mut log = vec![6, 0xE5, 0, 0xE5, 0, 0, 0, 16 + section.len() as u8];
    log.extend([0x82, 0, 0x8E, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'I', b'B', b'M', 0]);
    let mut around = [0; event_log::SIZE];
    around[event_log::BEFORE - log.len()..event_log::BEFORE].copy_from_slice(&log);
    around[event_log::BEFORE..][..section.len()].copy_from_slice(section);
    event_log::request(&around).unwrap().1
}
