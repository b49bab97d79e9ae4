// SPDX-License-Identifier: GPL-2.0-only

//! The watch over removals: every probe of the module reports here.

use super::{
    arming::Arming,
    arrivals::{Arrival, Arrivals, Fate, Queued},
    attempt::{Attempt, Task},
    cause::Cause,
    clues::{errno, CpusLeft, Senses},
    counters::Counters,
    journal::Journal,
    outbox::Outbox,
    parcel::Parcel,
    refusal::{Refusal, Told},
    rtas::{Busy, Rtas},
    verdict::{judge, Telling, Verdict},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{Action, HotplugRequest},
    reason::Reason,
    report::{Errno, Report},
    rtas::Status,
    token::Token,
};
use core::{
    hint,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
};

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
    /// Report it if that is so.
    pub fn if_true(yes: bool) -> Self {
        if yes {
            Self::Return
        } else {
            Self::Nothing
        }
    }
}

/// What the kernel says when a removal has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// What the removal returned: 0 or a negative errno.
    pub returned: i32,
    /// How many CPUs are left.
    pub left: CpusLeft,
    /// Whether a call of a probed function went by unseen meanwhile.
    pub blind: bool,
}

/// Follows the removals that the hypervisor asks for, and sees to it that it hears what became of each.
#[derive(Debug)]
pub struct Watch {
    /// What is promised.
    pub arming: Arming,
    arrivals: Arrivals,
    attempt: Attempt,
    /// The worker that is doing some work at whose attempt it was seen, or 0.
    seen_at_work: AtomicUsize,
    /// What happened how often.
    pub counters: Counters,
    /// The last refusals.
    pub journal: Journal,
    /// What the hypervisor has yet to be told about requests.
    outbox: Outbox,
    /// What it has yet to be told about the promise; see the constants.
    due: AtomicU32,
    senses: AtomicU32,
    /// The number of the last refusal that came to the kernel log.
    logged: AtomicU64,
}

/// DISARM is to be said.
const DISARM: u32 = 1;
/// ARM is to be said.
const ARM: u32 = 2;
/// ARM is to be said when no request waits.
const ARM_LATER: u32 = 4;

impl Watch {
    /// Nothing has happened yet. To be made at compile time: it is large for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            arming: Arming::new(),
            arrivals: Arrivals::new(),
            attempt: Attempt::new(),
            seen_at_work: AtomicUsize::new(0),
            counters: Counters::new(),
            journal: Journal::new(),
            outbox: Outbox::new(),
            due: AtomicU32::new(0),
            senses: AtomicU32::new(0),
            logged: AtomicU64::new(0),
        }
    }

    /// So much can be seen, and if `complete`, every request and what becomes of it. Then, and only then, it is promised to
    /// answer (PUE-G-010, PUE-G-011). Sleeps.
    pub fn promise(&self, senses: Senses, complete: bool, rtas: &impl Rtas) {
        self.senses.store(senses.0, Relaxed);
        patiently(rtas, || self.arming.disarm(rtas));
        if complete {
            patiently(rtas, || self.arming.arm(rtas));
        }
    }

    /// Answers what has ended or will never begin, now that no probe runs any more. Then there may be something to
    /// [`Self::settle`].
    pub fn close(&self, rtas: &impl Rtas) {
        // The attempt that had the turn, if one had, goes on without the module.
        self.attempt.give_turn_back();
        while let Some(arrival) = self.arrivals.take() {
            if arrival.queued.is_none() {
                self.answer(&arrival, rtas);
            }
        }
    }

    /// Withdraws the promise for good (PUE-G-060), after what has ended was told by [`Self::settle`] (PUE-G-062). Sleeps.
    pub fn withdraw_for_good(&self, rtas: &impl Rtas) {
        self.arming.stop();
        patiently(rtas, || self.arming.disarm(rtas));
    }

    /// `queue_hotplug_event` was entered with this request; so many calls of it went by unseen before.
    pub fn event_begins(
        &self,
        task: Task,
        asked: &HotplugRequest,
        token: Token,
        missed: u64,
        rtas: &impl Rtas,
    ) -> Follow {
        if self.counters.missed_events.raise_to(missed) {
            // One of these may have been lost by the kernel, and would never be answered (PUE-G-012).
            self.renew(rtas);
        }
        if asked.action != Action::REMOVE {
            return Follow::Nothing;
        }
        self.arrivals.begins(task, asked, token);
        Follow::Return
    }

    /// A task queued some work, which no worker can have begun yet. `copied` reads what it is, if it is a request's.
    pub fn work_begins(&self, task: Task, copied: impl FnOnce() -> Option<(Queued, HotplugRequest)>) {
        self.arrivals.queues(task, copied);
    }

    /// `queue_hotplug_event` returned.
    pub fn event_ends(&self, task: Task, rtas: &impl Rtas) {
        if self.arrivals.ends(task) == Fate::Unknown {
            // It will be answered, but without its token.
            self.counters.withdrawn.increment();
            self.due.fetch_or(ARM_LATER, Relaxed);
            self.unpromise(rtas);
        }
        self.answer_lost(rtas);
    }

    /// A task has done some work. If it was a request's, and no attempt was seen, nobody will answer it later. Returns whether
    /// it was.
    pub fn work_ends(&self, task: Task, work: usize, rtas: &impl Rtas) -> bool {
        if self.seen_at_work.load(Relaxed) == task.0 {
            // The kernel has freed the work by now, and a later request may have been put there.
            self.seen_at_work.store(0, Relaxed);
            return false;
        }
        if self.arrivals.is_empty() || self.arrivals.before_work(work).is_none() || !self.take_turn(Task::NONE) {
            return false;
        }
        if let Some(before) = self.arrivals.before_work(work) {
            (0..=before).for_each(|_| self.answer_first(rtas));
        }
        self.attempt.give_turn_back();
        self.answer_lost(rtas);
        true
    }

    /// `handle_dlpar_errorlog` was entered with this request, which stands at the address `copy`; so many calls of it went
    /// by unseen before.
    pub fn request_begins(
        &self,
        task: Task,
        origin: Origin,
        copy: usize,
        asked: &HotplugRequest,
        missed: u64,
        rtas: &impl Rtas,
    ) -> Follow {
        if self.counters.missed.raise_to(missed) {
            // Each was answered if its arrival was seen. If not, it must not be relied on (PUE-G-012).
            self.renew(rtas);
        }
        if origin == Origin::Hypervisor {
            self.seen_at_work.store(task.0, Relaxed);
        }
        if asked.action != Action::REMOVE {
            return Follow::Nothing;
        }
        if origin == Origin::Guest {
            self.counters.guest_initiated.increment();
            return Follow::Nothing;
        }
        if !self.take_turn(task) {
            self.counters.overlapped.increment();
            return Follow::Nothing;
        }
        let token = self.token_of(copy, asked, rtas);
        self.attempt.begin(asked, token);
        if self.arming.covers(asked.resource) && self.arming.tells_starts() {
            self.post(&mut report(0, Report::Started { token }, lowest(asked)), rtas);
        }
        Follow::Return
    }

    /// The removal that is being followed, if it is this task's.
    pub fn followed(&self, task: Task) -> Option<&Attempt> {
        self.attempt.is_of(task).then_some(&self.attempt)
    }

    /// What can be seen on this kernel.
    pub fn senses(&self) -> Senses {
        Senses(self.senses.load(Relaxed))
    }

    /// A state of CPU hotplug ended for this CPU, in any task.
    pub fn cpu_state_ends(&self, cpu: u32, reached: u32, state: u32, returned: i32) {
        if returned < 0 {
            self.attempt.clues.cpu_state_fails(cpu, reached, state, returned);
        }
    }

    /// `handle_dlpar_errorlog` returned. The hypervisor is told before the kernel takes up its next request.
    pub fn request_ends(&self, task: Task, ending: Ending, rtas: &impl Rtas) {
        if !self.attempt.is_of(task) {
            return;
        }
        let (asked, token) = self.attempt.asked();
        let Ending { returned, left, blind } = ending;
        let seen = self.attempt.seen(returned, left, self.senses(), blind);
        match judge(&asked, &seen) {
            Verdict::Released => {
                self.counters.requests.increment();
                self.counters.released.increment();
                if self.arming.covers(asked.resource) {
                    self.post(&mut report(0, Report::Done { token }, lowest(&asked)), rtas);
                }
            }
            Verdict::Refused { cause, connector, telling } => {
                let lmb = seen.busy_lmb.map(|failure| failure.connector);
                self.refuse(&asked, token, cause, lmb, connector.unwrap_or(lowest(&asked)), telling, rtas);
            }
        }
        self.attempt.give_turn_back();
        self.answer_lost(rtas);
        self.arm_if_later(rtas);
    }

    /// Whether there is something to do that a probe must not: [`Self::settle`].
    pub fn is_unsettled(&self) -> bool {
        !self.outbox.is_empty()
            || self.due.load(Relaxed) & (DISARM | ARM) != 0
            || self.logged.load(Relaxed) != self.journal.newest()
    }

    /// Tells the hypervisor what firmware was too busy for, and hands every new refusal to `log`. May sleep; one caller
    /// at a time.
    pub fn settle(&self, rtas: &impl Rtas, log: impl FnMut(&Refusal)) {
        while let Some(mut parcel) = self.outbox.first() {
            parcel.tell_patiently(&self.arming, rtas);
            self.count(parcel.number, parcel.told);
            self.journal.settle(parcel.number, Told::Pending, parcel.told);
            self.outbox.take();
        }
        if self.due.fetch_and(!DISARM, SeqCst) & DISARM != 0 {
            patiently(rtas, || self.arming.disarm(rtas));
        }
        if self.due.fetch_and(!ARM, SeqCst) & ARM != 0 {
            patiently(rtas, || self.arming.arm(rtas));
        }
        self.log_new(log);
    }

    fn log_new(&self, mut log: impl FnMut(&Refusal)) {
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

    /// The token of the request that the kernel begins with, whose copy is at this address. Those before it were lost, or
    /// their attempts went by unseen: they are answered first (PUE-G-035).
    fn token_of(&self, copy: usize, asked: &HotplugRequest, rtas: &impl Rtas) -> Token {
        match self.arrivals.before_copy(copy) {
            Some(before) => {
                (0..before).for_each(|_| self.answer_first(rtas));
                self.arrivals.take().map_or(Token::NONE, |arrival| arrival.token)
            }
            None => {
                // It was queued before this module was loaded, or its arrival went by unseen. If it was promised an answer,
                // none without its token could be the one (PUE-G-012).
                if self.arming.covers(asked.resource) {
                    self.renew(rtas);
                }
                Token::NONE
            }
        }
    }

    /// Answers the requests that the kernel has lost, if their turn has come.
    fn answer_lost(&self, rtas: &impl Rtas) {
        // If another one has the turn he looks once more after he has given it back.
        while self.arrivals.is_first_lost() && self.attempt.take_turn(Task::NONE).is_ok() {
            while self.arrivals.is_first_lost() {
                self.answer_first(rtas);
            }
            self.attempt.give_turn_back();
        }
    }

    /// Answers the first request that waits, which the kernel will not try, or has tried unseen. Only for who has the turn.
    fn answer_first(&self, rtas: &impl Rtas) {
        if let Some(arrival) = self.arrivals.take() {
            self.answer(&arrival, rtas);
        }
    }

    fn answer(&self, arrival: &Arrival, rtas: &impl Rtas) {
        let Arrival { asked, token, queued } = *arrival;
        let named = asked.target().connector();
        let (cause, telling) = match (queued, named) {
            (None, Some(connector)) => (Cause::of(Reason::DROPPED, errno::ENOMEM), Telling::Signal(connector)),
            (None, None) => (Cause::of(Reason::DROPPED, errno::ENOMEM), Telling::Impossible),
            // Nobody knows whether it was refused, and if it was, whether the kernel has said so. A report does no harm: if
            // the device was given back, the request has ended.
            (Some(_), _) => (Cause::of(Reason::UNATTRIBUTED, 0), Telling::Impossible),
        };
        match queued {
            None => self.counters.dropped.increment(),
            Some(_) => self.counters.unseen.increment(),
        }
        self.refuse(&asked, token, cause, None, lowest(&asked), telling, rtas);
    }

    /// Tells of a refusal, and writes it down. Only for who has the turn.
    #[expect(clippy::too_many_arguments, reason = "a refusal is what was asked, why not, where, and how it is told")]
    fn refuse(
        &self,
        asked: &HotplugRequest,
        token: Token,
        cause: Cause,
        lmb: Option<DrcIndex>,
        connector: DrcIndex,
        telling: Telling,
        rtas: &impl Rtas,
    ) {
        self.counters.requests.increment();
        self.counters.refused.increment();
        let number = self.journal.add(&Refusal {
            resource: asked.resource,
            connector: asked.target().connector(),
            lmb,
            reason: cause.reason,
            errno: cause.errno,
            place: cause.place,
            token,
            told: Told::Pending,
        });
        let (hint, told) = match telling {
            Telling::Done => (None, Told::ByKernel),
            Telling::Impossible => (None, Told::Unnamed),
            Telling::Signal(connector) => (Some(connector), Told::Unnamed),
        };
        let refused = Report::Refused { token, reason: cause.reason, errno: Errno::from_code(cause.errno) };
        let report = self.arming.covers(asked.resource).then(|| (refused.word(), connector));
        self.post(&mut Parcel { number, report, hint, rearm: false, told }, rtas);
    }

    /// Tells this now, if that overtakes nothing and firmware is not busy; else [`Self::settle`] will. Only for who has the
    /// turn.
    fn post(&self, parcel: &mut Parcel, rtas: &impl Rtas) {
        let told = match self.outbox.is_empty().then(|| parcel.tell(&self.arming, rtas)) {
            Some(Ok(())) => parcel.told,
            _ if self.outbox.put(parcel) => return,
            busy => {
                // It is not told at all, so nothing must rely on it.
                self.counters.withdrawn.increment();
                self.due.fetch_or(DISARM | ARM, Relaxed);
                let status = match busy {
                    Some(Err(Busy(status))) => status,
                    _ => Status::BUSY,
                };
                Told::Failed(status)
            }
        };
        self.count(parcel.number, told);
        self.journal.settle(parcel.number, Told::Pending, told);
    }

    /// Promises anew, so that what was asked before is no longer promised.
    fn renew(&self, rtas: &impl Rtas) {
        self.counters.withdrawn.increment();
        self.due.fetch_or(ARM, Relaxed);
        self.unpromise(rtas);
        if self.due.load(Relaxed) & DISARM == 0 && self.arming.arm(rtas).is_ok() {
            self.due.fetch_and(!ARM, Relaxed);
        }
    }

    /// Withdraws the promise for now: at once, if every attempt that has ended is told (PUE-G-062).
    fn unpromise(&self, rtas: &impl Rtas) {
        if !self.outbox.is_empty() || self.arming.disarm(rtas).is_err() {
            self.due.fetch_or(DISARM, Relaxed);
        }
    }

    fn arm_if_later(&self, rtas: &impl Rtas) {
        let due = self.due.load(Relaxed);
        if due & ARM_LATER != 0 && self.arrivals.is_empty() {
            self.due.fetch_and(!ARM_LATER, Relaxed);
            if due & DISARM != 0 || self.arming.arm(rtas).is_err() {
                self.due.fetch_or(ARM, Relaxed);
            }
        }
    }

    /// Takes the turn, `false` if an attempt has it. Who answers lost requests gives it back within some RTAS calls, and
    /// cannot be preempted meanwhile.
    fn take_turn(&self, task: Task) -> bool {
        loop {
            match self.attempt.take_turn(task) {
                Ok(()) => return true,
                Err(Task::NONE) => hint::spin_loop(),
                Err(_) => return false,
            }
        }
    }

    fn count(&self, number: u64, told: Told) {
        match told {
            _ if number == 0 => {}
            Told::Reported => self.counters.reported.increment(),
            Told::ByKernel => self.counters.told_by_kernel.increment(),
            Told::ByModule => self.counters.told_by_module.increment(),
            Told::Unnamed | Told::Absent | Told::Failed(_) => self.counters.not_told.increment(),
            Told::Pending => {}
        }
    }
}

/// A report that is all there is to tell.
fn report(number: u64, report: Report, connector: DrcIndex) -> Parcel {
    Parcel { number, report: Some((report.word(), connector)), hint: None, rearm: false, told: Told::Unnamed }
}

/// The lowest connector that a request names (PUE-G-032). One by count names none.
fn lowest(asked: &HotplugRequest) -> DrcIndex {
    asked.target().connector().unwrap_or_default()
}

/// Does it again and again until firmware is not busy. Sleeps.
fn patiently(rtas: &impl Rtas, mut call: impl FnMut() -> Result<(), Busy>) {
    while let Err(Busy(status)) = call() {
        rtas.pause(status);
    }
}

#[cfg(test)]
#[path = "watch/tests.rs"]
mod tests;
