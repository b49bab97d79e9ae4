// SPDX-License-Identifier: GPL-2.0-only

//! The watch over removals: every probe of the module reports here.

use super::{
    arming::Arming,
    arrivals::{Arrival, Arrivals, Fate, Work},
    attempt::{Attempt, Ending, Task},
    cause::Cause,
    clues::{errno, Senses},
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
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
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

/// Follows the removals that the hypervisor asks for, and sees to it that it hears what became of each.
#[derive(Debug)]
pub struct Watch {
    /// What is promised.
    pub arming: Arming,
    arrivals: Arrivals,
    attempt: Attempt,
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
    /// Somebody hands refusals to the kernel log.
    logging: AtomicBool,
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
            counters: Counters::new(),
            journal: Journal::new(),
            outbox: Outbox::new(),
            due: AtomicU32::new(0),
            senses: AtomicU32::new(0),
            logged: AtomicU64::new(0),
            logging: AtomicBool::new(false),
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
        if self.attempt.has_ended() {
            self.conclude(rtas);
        }
        // The attempt that had the turn, if one had, goes on without the module.
        self.attempt.give_turn_back();
        while let Some(arrival) = self.arrivals.take() {
            if arrival.work.is_none() {
                self.answer(&arrival, rtas);
            }
        }
    }

    /// Withdraws the promise for good (PUE-G-060), after what has ended was told by [`Self::settle`] (PUE-G-062). Sleeps.
    pub fn withdraw_for_good(&self, rtas: &impl Rtas) {
        self.arming.stop();
        patiently(rtas, || self.arming.disarm(rtas));
    }

    /// `queue_hotplug_event` was entered with this request.
    pub fn event_begins(&self, task: Task, asked: &HotplugRequest, token: Token) -> Follow {
        if asked.action != Action::REMOVE {
            return Follow::Nothing;
        }
        self.arrivals.begins(task, asked, token);
        Follow::Return
    }

    /// A task queued some work that calls `function`, and which no worker can have begun yet. `copied` reads the request from
    /// it, if it is one's; `logged` reads the request in the log, with its token.
    pub fn work_is_queued(
        &self,
        task: Task,
        work: Work,
        function: usize,
        copied: impl FnOnce() -> Option<HotplugRequest>,
        logged: impl FnOnce() -> Option<(HotplugRequest, Token)>,
    ) {
        self.arrivals.queues(task, work, function, copied, logged);
    }

    /// The interrupt has been handled in which the kernel may have called `queue_hotplug_event`, and so many calls of that
    /// have gone by unseen. `logged` reads the request in the log, with its token.
    pub fn interrupt_ends(
        &self,
        task: Task,
        missed: u64,
        logged: impl FnOnce() -> Option<(HotplugRequest, Token)>,
        rtas: &impl Rtas,
    ) {
        let more = self.counters.missed_events.raise_to(missed);
        if !self.arrivals.is_arriving() {
            if more == 0 {
                return;
            }
            match logged().filter(|_| more == 1 && self.arrivals.knows_work()) {
                // Had it been queued, that had been seen.
                Some((asked, token)) if asked.action == Action::REMOVE => self.arrivals.begins(task, &asked, token),
                Some(_) => return,
                // It may have been lost by the kernel, and would never be answered (PUE-G-012).
                None => return self.renew(rtas),
            }
        }
        self.event_ends(rtas);
    }

    /// `queue_hotplug_event` returned, after [`Self::event_begins`].
    pub fn event_ends(&self, rtas: &impl Rtas) {
        if self.arrivals.ends() == Fate::Unknown {
            // It will be answered, but without its token.
            self.counters.withdrawn.increment();
            self.due.fetch_or(ARM_LATER, Relaxed);
            self.unpromise(rtas);
        }
        self.answer_lost(rtas);
    }

    /// A worker begins with some work. If it is a request's, so does the attempt at it. Those before it were lost: they are
    /// answered first (PUE-G-035). Returns whether it is.
    pub fn work_begins(&self, task: Task, work: Work, rtas: &impl Rtas) -> bool {
        if self.arrivals.is_empty() || self.arrivals.before(work).is_none() || !self.take_turn(task) {
            return false;
        }
        let before = self.arrivals.before(work);
        (0..before.unwrap_or_default()).for_each(|_| self.answer_first(rtas));
        match before.and_then(|_| self.arrivals.take()) {
            Some(Arrival { asked, token, .. }) => self.attempt_begins(&asked, token, rtas),
            None => self.attempt.give_turn_back(),
        }
        true
    }

    /// A worker has done some work. If there was an attempt in it, what that came to is told now. Returns whether there was.
    pub fn work_ends(&self, task: Task, rtas: &impl Rtas) -> bool {
        let ends = self.attempt.is_of(task);
        if ends {
            self.conclude(rtas);
        }
        ends
    }

    /// `handle_dlpar_errorlog` was entered with this request; so many calls of it went by unseen before.
    pub fn request_begins(
        &self,
        task: Task,
        origin: Origin,
        asked: &HotplugRequest,
        missed: u64,
        rtas: &impl Rtas,
    ) -> Follow {
        if self.counters.missed.raise_to(missed) != 0 {
            // Each was answered if its arrival was seen. If not, it must not be relied on (PUE-G-012).
            self.renew(rtas);
        }
        if asked.action != Action::REMOVE {
            return Follow::Nothing;
        }
        if origin == Origin::Guest {
            self.counters.guest_initiated.increment();
            return Follow::Nothing;
        }
        if self.attempt.is_of(task) {
            return Follow::Return;
        }
        if !self.take_turn(task) {
            self.counters.overlapped.increment();
            return Follow::Nothing;
        }
        // It was queued before this module was loaded, or its arrival went by unseen. If it was promised an answer, none
        // without its token could be the one (PUE-G-012).
        if self.arming.covers(asked.resource) {
            self.renew(rtas);
        }
        self.attempt_begins(asked, Token::NONE, rtas);
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

    /// `handle_dlpar_errorlog` returned. Where the end of its work is seen, the hypervisor is told then, which is also before
    /// the kernel takes up its next request: an event that comes while a probe's handler is in firmware goes by unseen.
    pub fn request_ends(&self, task: Task, ending: &Ending, rtas: &impl Rtas) {
        if !self.attempt.is_of(task) {
            return;
        }
        self.attempt.ends(ending);
        if !self.senses().has(Senses::WORK) {
            self.conclude(rtas);
        }
    }

    /// Whether there is something to do that a probe must not: [`Self::settle`], and then [`Self::log`].
    pub fn is_unsettled(&self) -> bool {
        !self.outbox.is_empty()
            || self.due.load(Relaxed) & (DISARM | ARM) != 0
            || self.logged.load(Relaxed) != self.journal.newest()
    }

    /// Tells the hypervisor what firmware was too busy for. May sleep; one caller at a time.
    pub fn settle(&self, rtas: &impl Rtas) {
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
    }

    /// Hands every new refusal to `log`, unless somebody does already or one is not told yet: then [`Self::is_unsettled`].
    pub fn log(&self, mut log: impl FnMut(&Refusal)) {
        if !self.outbox.is_empty() || self.logging.swap(true, Acquire) {
            return;
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
        self.logging.store(false, Release);
    }

    /// The attempt at this begins. Only for who has the turn.
    fn attempt_begins(&self, asked: &HotplugRequest, token: Token, rtas: &impl Rtas) {
        self.attempt.begin(asked, token);
        if self.arming.covers(asked.resource) && self.arming.tells_starts() {
            self.post(&mut report(0, Report::Started { token }, lowest(asked)), rtas);
        }
    }

    /// Tells what the attempt came to, and gives the turn back. Only for who has the turn.
    fn conclude(&self, rtas: &impl Rtas) {
        let (asked, token) = self.attempt.asked();
        match self.attempt.take_ending() {
            None => self.answer_unseen(&asked, token, rtas),
            Some(ending) => {
                let seen = self.attempt.seen(&ending, self.senses());
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
            }
        }
        self.attempt.give_turn_back();
        self.answer_lost(rtas);
        self.arm_if_later(rtas);
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

    fn answer(&self, Arrival { asked, token, work }: &Arrival, rtas: &impl Rtas) {
        if work.is_some() {
            return self.answer_unseen(asked, *token, rtas);
        }
        self.counters.dropped.increment();
        let cause = Cause::of(Reason::DROPPED, errno::ENOMEM);
        let telling = asked.target().connector().map_or(Telling::Impossible, Telling::Signal);
        self.refuse(asked, *token, cause, None, lowest(asked), telling, rtas);
    }

    /// Nobody knows whether it was refused, and if it was, whether the kernel has said so. A report does no harm: if the device
    /// was given back, the request has ended.
    fn answer_unseen(&self, asked: &HotplugRequest, token: Token, rtas: &impl Rtas) {
        self.counters.unseen.increment();
        let cause = Cause::of(Reason::UNATTRIBUTED, 0);
        self.refuse(asked, token, cause, None, lowest(asked), Telling::Impossible, rtas);
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
