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
    arrivals::Queued,
    attempt::Task,
    clues::{LmbFlags, Senses},
    event_log,
    refusal::Refusal,
    rtas::Rtas,
    watch::{Ending, Follow, Origin, Watch},
};
use std::collections::{HashSet, VecDeque};

const INTERRUPTED: Task = Task(0xC000_1000);
const WORKER: Task = Task(0xC000_2000);
const ADMINISTRATOR: Task = Task(0xC000_3000);

/// What becomes of a request when it comes to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is queued.
    Queued,
    /// There is no memory for it.
    Dropped,
    /// It is queued, and no probe saw it come.
    QueuedUnseen,
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
    queued: Queued,
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
            attempts_unseen: 0,
        }
    }

    /// The module is loaded again, with what the kernel has queued meanwhile.
    pub(crate) fn reload(&mut self, hypervisor: &Hypervisor) {
        self.watch = Watch::new();
        (self.arrivals_unseen, self.attempts_unseen) = (0, 0);
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
        let queued = Queued { work: self.next, copy: self.next + 0x80 };
        self.next += 0x100;

        let is_seen = arrival != Arrival::QueuedUnseen;
        if is_seen {
            let token = token_of(section);
            let follow = self.watch.event_begins(INTERRUPTED, &asked, token, self.arrivals_unseen, hypervisor);
            assert_eq!(follow, Follow::Return);
        } else {
            self.arrivals_unseen += 1;
        }
        if arrival != Arrival::Dropped {
            self.watch.work_begins(INTERRUPTED, || Some((queued, asked)));
            self.queue.push_back(Work { queued, request: ask.request, asked, is_known: is_seen });
        }
        if is_seen {
            self.watch.event_ends(INTERRUPTED, hypervisor);
        }
        true
    }

    /// The worker of the kernel's workqueue takes up the oldest request, and this becomes of it. Returns which it was.
    pub(crate) fn work(&mut self, hypervisor: &Hypervisor, plan: Plan) -> Option<RequestId> {
        let Work { queued, request, asked, is_known } = self.queue.pop_front()?;
        // Of a request whose arrival no probe saw either, nobody would ever know.
        let is_seen = plan != Plan::RefuseUnseen || !is_known;
        self.attempts_unseen += u64::from(!is_seen);
        if is_seen {
            let follow = self.begin(hypervisor, queued, &asked);
            assert_eq!(follow, Follow::Return);
        }
        let returned = self.attempt(hypervisor, &asked, plan);
        if is_seen {
            self.watch.request_ends(WORKER, Ending { returned, ..Ending::default() }, hypervisor);
        }
        self.watch.work_ends(WORKER, queued.work, hypervisor);
        Some(request)
    }

    /// The worker begins with the oldest request and does not come to its end.
    pub(crate) fn hang(&mut self, hypervisor: &Hypervisor) -> RequestId {
        let work = self.queue.pop_front().unwrap();
        self.begin(hypervisor, work.queued, &work.asked);
        work.request
    }

    /// The removal at which it hung is refused after all.
    pub(crate) fn give_up(&mut self, hypervisor: &Hypervisor) {
        self.watch.request_ends(WORKER, Ending { returned: -22, ..Ending::default() }, hypervisor);
    }

    /// The administrator of the guest asks for the same, and is refused.
    pub(crate) fn remove_by_hand(&mut self, hypervisor: &Hypervisor, first: DrcIndex) {
        let [a, b, c, d] = first.0.to_be_bytes();
        let asked = HotplugRequest::from([2, 2, 4, 0xFF, 0, 0, 0, 2, a, b, c, d]);
        let follow = self.watch.request_begins(ADMINISTRATOR, Origin::Guest, 0xC00F_0000, &asked, 0, hypervisor);
        assert_eq!(follow, Follow::Nothing);
        self.watch.request_ends(ADMINISTRATOR, Ending { returned: -22, ..Ending::default() }, hypervisor);
    }

    /// The module's own worker does what there is to do, and these are the refusals that come to the kernel log.
    pub(crate) fn settle(&self, hypervisor: &Hypervisor) -> Vec<Refusal> {
        let mut logged = Vec::new();
        if self.watch.is_unsettled() {
            self.watch.settle(hypervisor, |refusal| logged.push(*refusal));
        }
        assert!(!self.watch.is_unsettled());
        logged
    }

    fn begin(&self, hypervisor: &Hypervisor, queued: Queued, asked: &HotplugRequest) -> Follow {
        let missed = self.attempts_unseen;
        self.watch.request_begins(WORKER, Origin::Hypervisor, queued.copy, asked, missed, hypervisor)
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
    // The log is not the first thing in memory.
    let mut log = vec![0; 64];
    log.extend([6, 0xE5, 0, 0xE5, 0, 0, 0, 16 + section.len() as u8]);
    log.extend([0x82, 0, 0x8E, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'I', b'B', b'M', 0]);
    let at = log.len();
    log.extend(section);
    event_log::token(at, &Log(log))
}

/// What is in memory.
struct Log(Vec<u8>);

impl event_log::Memory for Log {
    fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        self.0.get(address..address.checked_add(N)?)?.try_into().ok()
    }
}
