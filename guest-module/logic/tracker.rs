// SPDX-License-Identifier: GPL-2.0-only

//! Tracker of the removals that the hypervisor requests. Every probe reports to it.

use super::{
    arming::Arming,
    cause::Cause,
    counters::{count, raise, raise_by, Counters},
    errno,
    handover::{Handed, Handover},
    history::History,
    notice::Notice,
    observations::ProbeSet,
    outcome::{classify, Hint, Outcome},
    refusal::{Delivery, Refusal},
    removal::{Begin, Removal, State, Task},
    request_queue::{Queued, RequestQueue, WaitingRequest, Work},
    retry_queue::RetryQueue,
    rtas::{Busy, Rtas},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{Action, HotplugRequest},
    reason::Reason,
    report::{Errno, Report},
    rtas::Status,
    token::Token,
};
use core::mem;

mod user_space;

/// Choice whether a probe sees the return of the function that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The return is to be seen.
    Return,
    /// The return does not matter.
    Nothing,
}

impl Follow {
    /// Returns [`Self::Return`] if `yes`.
    pub fn if_true(yes: bool) -> Self {
        if yes {
            Self::Return
        } else {
            Self::Nothing
        }
    }
}

/// The result of [`Tracker::tell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing more is to be told.
    Nothing,
    /// A notice was told, and there is another one.
    Told,
    /// ARM is next: [`Tracker::may_arm`] has to be called, with what a canary shows.
    CheckProbes,
}

/// Line for the kernel log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Probes do not fire, although they are in force.
    ProbesAreOff,
    /// Probes fire again.
    ProbesAreOn,
    /// The kernel's structures do not look as they should.
    KernelIsStrange,
    /// A refusal.
    Refusal(Refusal),
}

/// The state of the module.
///
/// The methods for probes decide and never call firmware. What is to be told waits in a queue, from
/// which [`Self::tell_now`] takes it, one notice a call. A caller that holds a lock around each
/// call keeps the order of what is told, and never holds the lock for more than one notice and the
/// sensors of the attempts of user space that have ended.
#[derive(Debug)]
pub struct Tracker {
    /// The promise.
    pub arming: Arming,
    /// The counters.
    pub counters: Counters,
    /// The last refusals.
    pub history: History,
    /// The requests that user space has.
    pub handover: Handover,
    requests: RequestQueue,
    removal: Option<Removal>,
    notices: RetryQueue,
    probes: ProbeSet,
    /// True if the probes see every request and its end.
    is_complete: bool,
    /// True if probes do not fire, although they are in force.
    are_probes_off: bool,
    /// True if they were off, and one may fire while others do not yet.
    are_probes_unsettled: bool,
    /// The canary's answer for the ARM that is next.
    canary: Option<bool>,
    /// True if the kernel's work on a request was seen to begin.
    work_has_begun: bool,
    /// Firmware was busy: [`Self::tell`] is left to the module's worker.
    is_deferred: bool,
    /// A notice found no room, so the promise has to be made anew.
    renewal_due: bool,
    /// ARM is to be sent when no request waits.
    arm_when_idle: bool,
    /// ARM is to name the classes that are left to user space as soon as these can be kept.
    user_space_due: bool,
    /// ARM without these classes is to be sent as soon as what has ended is told.
    withdrawal_due: bool,
    /// The number of additions to the kernel's log that no probe saw.
    missed_logs: u64,
    /// The number of times that the log was read or closed and no probe saw it.
    missed_reads: u64,
    /// The number of the last refusal that was written to the kernel log.
    logged: u64,
    /// The value of `are_probes_off` that the kernel log gives.
    logged_off: bool,
    /// True if the kernel's structures do not look as they should.
    is_kernel_strange: bool,
    /// True if the kernel log says so.
    logged_strange: bool,
}

/// A refusal that has been decided.
struct Refused<'a> {
    request: &'a HotplugRequest,
    token: Token,
    cause: Cause,
    /// The LMB that was busy.
    lmb: Option<DrcIndex>,
    /// The connector for the report.
    connector: DrcIndex,
    hint: Hint,
}

impl<'a> Refused<'a> {
    /// Returns a refusal of a request that was not tried, or not seen to be.
    fn unseen(request: &'a HotplugRequest, token: Token, cause: Cause, hint: Hint) -> Self {
        Self { request, token, cause, lmb: None, connector: lowest(request), hint }
    }
}

impl Tracker {
    /// Returns the state in which nothing has happened. Call it in a constant: the tracker is large
    /// for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            arming: Arming::new(),
            counters: Counters::new(),
            history: History::new(),
            handover: Handover::new(),
            requests: RequestQueue::new(),
            removal: None,
            notices: RetryQueue::new(),
            probes: ProbeSet(0),
            is_complete: false,
            are_probes_off: false,
            are_probes_unsettled: false,
            canary: None,
            work_has_begun: false,
            is_deferred: false,
            renewal_due: false,
            arm_when_idle: false,
            user_space_due: false,
            withdrawal_due: false,
            missed_logs: 0,
            missed_reads: 0,
            logged: 0,
            logged_off: false,
            is_kernel_strange: false,
            logged_strange: false,
        }
    }

    /// Gives the queues and the history their room. Before this, nothing is told.
    pub fn make_room(
        &mut self,
        requests: &'static mut [WaitingRequest],
        notices: &'static mut [Notice],
        refusals: &'static mut [Refusal],
        handed: &'static mut [Handed],
    ) {
        self.handover = Handover::with(handed);
        self.history = History::with(refusals);
        self.requests = RequestQueue::with(requests);
        self.notices = RetryQueue::with(notices);
    }

    /// Begins with these probes. If `complete`, they see every request and its end: only then is it
    /// promised to answer (PUE-G-010, PUE-G-011).
    pub fn promise(&mut self, probes: ProbeSet, complete: bool) {
        self.probes = probes;
        self.is_complete = complete;
        self.post(Notice { disarm: true, arm: true, ..Notice::EMPTY });
    }

    /// The hypervisor's offer has another value: the guest was suspended, and may have resumed on
    /// another platform, which knows neither what was armed nor the tokens (PUE-G-041).
    pub fn offer_changes(&mut self, property: &[u8]) {
        self.arming.discover(property);
        self.forget_tokens();
        self.renew();
    }

    /// Decides about one request that has ended or will never begin, when no probe runs any more.
    /// Returns whether there may be another one.
    pub fn close(&mut self) -> bool {
        if let Some(removal) = self.removal.take() {
            // Else the removal goes on without the module.
            if removal.is_decided() {
                self.conclude(removal, 0);
            }
            return true;
        }
        let Some(waiting) = self.requests.take() else { return false };
        if waiting.work.is_none() {
            self.answer(&waiting);
        }
        true
    }

    /// Withdraws the promise for good (PUE-G-060), after what has been decided is told (PUE-G-062).
    pub fn withdraw_for_good(&mut self) {
        self.arming.stop();
        self.post(Notice { disarm: true, ..Notice::EMPTY });
    }

    /// `queue_hotplug_event` was entered with a request.
    pub fn event_begins(&mut self, task: Task, request: &HotplugRequest, token: Token) -> Follow {
        if request.action != Action::REMOVE {
            return Follow::Nothing;
        }
        self.arrival_ends();
        self.requests.begins(task, request, token);
        Follow::Return
    }

    /// An event or a work item of the kernel does not look as it should, so nothing that is read
    /// there is believed, and nothing is promised any more (PUE-G-011).
    pub fn distrust(&mut self) {
        self.requests.forget_arriving();
        if mem::replace(&mut self.is_kernel_strange, true) {
            return;
        }
        if mem::replace(&mut self.is_complete, false) {
            count(&mut self.counters.withdrawn);
            self.post(Notice { disarm: true, ..Notice::EMPTY });
        }
    }

    /// A task has queued a work item for the request `copied`, with which no worker can have begun.
    /// `logged` returns the request in the event log.
    pub fn work_is_queued(
        &mut self,
        task: Task,
        work: Work,
        copied: HotplugRequest,
        logged: impl FnOnce() -> Option<(HotplugRequest, Token)>,
    ) {
        self.arrival_ends();
        let arriving = self.requests.arriving(task).copied();
        let is_arriving = arriving == Some(copied);
        let logged = if is_arriving { None } else { logged() };
        let is_logged = logged.is_some_and(|(request, _)| request == copied);
        if !is_arriving && !is_logged && (arriving.is_some() || !is_plausible(&copied)) {
            return self.distrust();
        }
        self.requests.queues(task, work, copied, logged);
    }

    /// The interrupt was handled in which the kernel may have called `queue_hotplug_event`.
    /// `missed` is the number of calls of that function that the probe has missed. `logged` returns
    /// the request in the event log. Returns whether the probe saw a request, and if so stores that
    /// probes fire. Else a canary has to show whether they do.
    pub fn interrupt_ends(
        &mut self,
        task: Task,
        missed: u64,
        logged: impl FnOnce() -> Option<(HotplugRequest, Token)>,
    ) -> bool {
        let is_seen = self.requests.is_arrival_seen();
        let more = raise(&mut self.counters.missed_events, missed);
        if !self.requests.is_arriving() {
            if more == 0 {
                return false;
            }
            match logged().filter(|_| more == 1) {
                // Its work item would have been seen, so the kernel lost it.
                Some((request, token)) if request.action == Action::REMOVE => {
                    self.requests.begins(task, &request, token);
                }
                Some(_) => return false,
                // The kernel may have lost a request that would never be answered (PUE-G-012).
                None => {
                    self.renew();
                    return false;
                }
            }
        }
        self.event_ends();
        if is_seen {
            self.probes_fire(true);
        }
        is_seen
    }

    /// The interrupt was left to a thread, which may be amid the event before this one: an interrupt
    /// can come again while its thread runs. `missed` is as for [`Self::interrupt_ends`].
    pub fn interrupt_wakes_thread(&mut self, missed: u64) {
        let known = u64::from(self.requests.is_arriving() && !self.requests.is_arrival_seen());
        self.arrival_ends();
        if raise(&mut self.counters.missed_events, missed) > known {
            // The kernel may have lost the request of a call that the probe missed (PUE-G-012).
            self.renew();
        }
    }

    /// Ends the call of which the work item is queued: a thread whose call the probe missed is not
    /// seen to return.
    fn arrival_ends(&mut self) {
        if self.requests.is_arrival_queued() {
            self.event_ends();
        }
    }

    /// `queue_hotplug_event` returned, or the interrupt was handled that called it.
    pub fn event_ends(&mut self) {
        match self.requests.ends() {
            // The request will be answered without its token, so it must not be promised.
            Some(Queued::NoToken) => self.renew(),
            // So will all that come until the queue is empty.
            Some(Queued::NoRoom) if !self.arm_when_idle && !self.is_kernel_strange => {
                count(&mut self.counters.withdrawn);
                self.arm_when_idle = true;
                self.post(Notice { disarm: true, ..Notice::EMPTY });
            }
            Some(Queued::NoRoom | Queued::Waits) | None => {}
        }
    }

    /// Stores whether probes fire, as a canary showed: a function of the module with a probe. If
    /// they do not, nothing is promised until they do again (PUE-G-012).
    pub fn probes_fire(&mut self, fire: bool) {
        if self.finds(fire) {
            raise_by(&mut self.counters.withdrawn, u64::from(!fire));
            self.post(Notice { disarm: !fire, arm: fire, ..Notice::EMPTY });
        }
    }

    /// Answers [`Progress::CheckProbes`]. If no probe fires, ARM is left out (PUE-G-011), and so it is
    /// if they were found off since: then they are looked at again.
    pub fn may_arm(&mut self, fire: bool) {
        if !fire {
            self.finds(false);
        }
        // Another CPU may have got the same answer, and told the notice.
        let is_asked = self.notices.first_mut().is_some_and(|notice| notice.arm);
        self.canary = is_asked.then_some(fire && !self.are_probes_off);
    }

    /// Returns whether probes may be switched on one after the other, and not all be on although one
    /// fires.
    pub fn are_probes_unsettled(&self) -> bool {
        self.are_probes_unsettled
    }

    /// Stores that nobody is switching probes, and one fires.
    pub fn probes_have_settled(&mut self) {
        self.are_probes_unsettled = false;
    }

    /// Stores whether probes fire. Returns whether that is new.
    fn finds(&mut self, fire: bool) -> bool {
        self.are_probes_unsettled |= !fire;
        let is_new = mem::replace(&mut self.are_probes_off, !fire) == fire;
        if is_new && !fire {
            self.go_blind();
        }
        is_new
    }

    /// Returns whether probes do not fire, although they are in force.
    pub fn are_probes_off(&self) -> bool {
        self.are_probes_off
    }

    /// A worker begins with a work item for `request`. Requests before it were lost, and are
    /// answered first (PUE-G-035).
    pub fn work_begins(&mut self, task: Task, work: Work, request: HotplugRequest, begin: Begin) {
        self.work_has_begun = true;
        if self.removal.is_some() {
            count(&mut self.counters.overlapped);
            return self.renew();
        }
        if let Some(before) = self.requests.before(work) {
            for _ in 0..before {
                self.answer_first();
            }
            if let Some(WaitingRequest { request, token, .. }) = self.requests.take() {
                self.removal_begins(task, request, token, begin);
            }
        } else if !is_plausible(&request) {
            self.distrust();
        } else if request.action == Action::REMOVE {
            // It was queued before the module was loaded, or its arrival was not seen. If an answer
            // was promised, none without its token could be that answer (PUE-G-012).
            if self.arming.covers(request.resource) {
                self.renew();
            }
            self.removal_begins(task, request, Token::NONE, begin);
        }
    }

    /// A worker has done a work item. Decides about the removal that was made in it. `missed` is
    /// the number of calls that probes have missed. Returns whether a probe saw what the removal
    /// came to, and stores that probes fire if it did. Else a canary has to show whether they do.
    pub fn work_ends(&mut self, task: Task, missed: u64) -> bool {
        let Some(removal) = self.removal.take_if(|removal| removal.task == task) else {
            return false;
        };
        let is_seen = removal.is_decided();
        self.conclude(removal, missed);
        if is_seen {
            self.probes_fire(true);
        }
        is_seen
    }

    /// A worker has done a work item for a request. If it was not seen to begin, it had begun
    /// before the module was loaded. A hint that the kernel sent for it is no outcome while the
    /// class is armed, so the promise is made anew.
    pub fn request_ends(&mut self) {
        if !mem::replace(&mut self.work_has_begun, false) && !self.arming.armed().0.is_empty() {
            self.renew();
        }
    }

    /// A handler of hot plug requests was entered in a task that is no worker: the guest's
    /// administrator requests something.
    pub fn administrator_begins(&mut self, action: Action) {
        if action == Action::REMOVE {
            count(&mut self.counters.guest_initiated);
        }
    }

    /// Returns the removal that is followed, if it is this task's.
    pub fn removal_of(&mut self, task: Task) -> Option<&mut Removal> {
        self.removal.as_mut().filter(|removal| removal.task == task)
    }

    /// Returns the removal that is followed, in whichever task it runs.
    pub fn removal(&mut self) -> Option<&mut Removal> {
        self.removal.as_mut()
    }

    /// Returns the state of the removal that is followed. `now` is in seconds since the boot.
    pub fn removal_state(&self, now: u64) -> Option<State> {
        self.removal.as_ref().map(|removal| removal.state(now))
    }

    /// Returns the probes that are in force.
    pub fn probes(&self) -> ProbeSet {
        self.probes
    }

    /// Tells the hypervisor the oldest notice. If firmware is busy, the rest is left to the
    /// module's worker.
    pub fn tell_now(&mut self, rtas: &impl Rtas) -> Progress {
        if self.is_deferred {
            return Progress::Nothing;
        }
        self.tell(rtas).unwrap_or_else(|Busy(_)| {
            self.is_deferred = true;
            Progress::Nothing
        })
    }

    /// Tells the hypervisor the oldest notice, and posts what is due then. If firmware is busy, the
    /// rest of the notice stays the oldest.
    pub fn tell(&mut self, rtas: &impl Rtas) -> Result<Progress, Busy> {
        self.post_what_is_due(rtas)?;
        let Some(notice) = self.notices.first_mut() else {
            self.is_deferred = false;
            return Ok(Progress::Nothing);
        };
        notice.tell(&mut self.arming, rtas)?;
        let is_armed_anew = notice.arm;
        if notice.is_unknown {
            notice.is_unknown = false;
            self.forget_tokens();
        }
        if is_armed_anew && self.is_complete {
            match self.canary.take() {
                None => return Ok(Progress::CheckProbes),
                Some(true) => self.arming.arm(rtas)?,
                Some(false) => self.arming.disarm_if_armed(rtas)?,
            }
        }
        self.is_deferred = false;
        self.canary = None;
        if let Some(told) = self.notices.pop() {
            self.delivered(&told);
        }
        self.post_what_is_due(rtas)?;
        Ok(if self.notices.is_empty() { Progress::Nothing } else { Progress::Told })
    }

    /// Makes every request that was taken one without a token (PUE-G-041): the hypervisor that gave
    /// the tokens is gone, and the next one counts anew.
    fn forget_tokens(&mut self) {
        self.requests.forget_tokens();
        self.handover.forget_tokens();
        if let Some(removal) = &mut self.removal {
            removal.token = Token::NONE;
        }
        self.notices.change_all(Notice::forget_token);
    }

    /// Returns whether the module's worker has something to do: to tell what firmware was too busy
    /// for, to find out what user space does, or to log.
    pub fn is_unsettled(&self) -> bool {
        self.is_deferred
            || self.is_user_space_unsettled()
            || self.logged != self.history.newest()
            || self.logged_off != self.are_probes_off_or_unsettled()
            || self.logged_strange != self.is_kernel_strange
    }

    /// Returns whether probes are off, or were and may not all be on again. The worker finds that
    /// out before it promises something; where nothing can be promised, nobody does.
    fn are_probes_off_or_unsettled(&self) -> bool {
        self.are_probes_off || self.logged_off && self.are_probes_unsettled && self.is_complete
    }

    /// Returns the next line for the kernel log. A refusal that is not delivered yet has none.
    pub fn next_to_log(&mut self) -> Option<Line> {
        let off = self.are_probes_off_or_unsettled();
        if mem::replace(&mut self.logged_off, off) != off {
            return Some(if off { Line::ProbesAreOff } else { Line::ProbesAreOn });
        }
        if mem::replace(&mut self.logged_strange, self.is_kernel_strange) != self.is_kernel_strange
        {
            return Some(Line::KernelIsStrange);
        }
        self.next_refusal().map(Line::Refusal)
    }

    fn next_refusal(&mut self) -> Option<Refusal> {
        let (oldest, next) = (self.history.oldest(), self.logged.saturating_add(1));
        if next < oldest {
            raise_by(&mut self.counters.log_overruns, oldest.wrapping_sub(next));
            self.logged = oldest.wrapping_sub(1);
        }
        let next = next.max(oldest);
        let refusal = *self.history.get(next)?;
        if refusal.delivery == Delivery::Pending {
            return None;
        }
        self.logged = next;
        Some(refusal)
    }

    /// Follows a removal from here on.
    fn removal_begins(&mut self, task: Task, request: HotplugRequest, token: Token, begin: Begin) {
        self.removal = Some(Removal::new(task, request, token, begin));
        self.report(&request, Report::Started { token });
    }

    /// Decides about a removal that has ended.
    fn conclude(&mut self, mut removal: Removal, missed: u64) {
        raise(&mut self.counters.missed, missed);
        let (request, token) = (removal.request, removal.token);
        let Some(observed) = removal.ends(missed, self.probes) else {
            return self.answer_unseen(&request, token);
        };
        match classify(&request, observed) {
            Outcome::Released => {
                count(&mut self.counters.requests);
                count(&mut self.counters.released);
                self.report(&request, Report::Done { token });
            }
            Outcome::Refused { cause, connector, hint } => {
                let lmb = observed.busy_lmb.map(|failure| failure.connector);
                let connector = connector.unwrap_or(lowest(&request));
                self.refuse(&Refused { request: &request, token, cause, lmb, connector, hint });
            }
        }
    }

    /// Answers the oldest request that waits.
    fn answer_first(&mut self) {
        if let Some(waiting) = self.requests.take() {
            self.answer(&waiting);
        }
    }

    /// Answers a request that the kernel will not try, or has tried unseen.
    fn answer(&mut self, WaitingRequest { request, token, work }: &WaitingRequest) {
        if work.is_some() {
            return self.answer_unseen(request, *token);
        }
        count(&mut self.counters.dropped);
        let cause = Cause::of(Reason::DROPPED, errno::ENOMEM);
        let hint = request.target().connector().map_or(Hint::Impossible, Hint::On);
        self.refuse(&Refused::unseen(request, *token, cause, hint));
    }

    /// Answers a request of which it is not known whether it was refused, or whether the kernel
    /// sent a hint. A report does no harm: if the device was given back, the request has ended.
    fn answer_unseen(&mut self, request: &HotplugRequest, token: Token) {
        count(&mut self.counters.unseen);
        let errno = Errno(0);
        let report = Report::Refused { token, reason: Reason::UNATTRIBUTED, errno };
        self.post(Notice {
            resource: request.resource,
            report: Some((report.word(), lowest(request))),
            unseen: true,
            connector: request.target().connector(),
            token,
            delivery: Delivery::Unnamed,
            ..Notice::EMPTY
        });
    }

    /// Stores a refusal, and posts the notice of it.
    fn refuse(&mut self, refused: &Refused<'_>) {
        let Refused { request, token, cause, lmb, connector, hint } = *refused;
        let number = self.add(&Refusal {
            resource: request.resource,
            connector: request.target().connector(),
            lmb,
            reason: cause.reason,
            errno: cause.errno,
            location: cause.location,
            token,
            delivery: Delivery::Pending,
        });
        let (hint, delivery) = match hint {
            Hint::ByKernel => (None, Delivery::ByKernel),
            Hint::Impossible => (None, Delivery::Unnamed),
            Hint::On(connector) => (Some(connector), Delivery::Unnamed),
        };
        let errno = Errno::from_code(cause.errno);
        let report = Report::Refused { token, reason: cause.reason, errno };
        self.post(Notice {
            number,
            resource: request.resource,
            report: Some((report.word(), connector)),
            hint,
            delivery,
            ..Notice::EMPTY
        });
    }

    /// Posts a report about a request of an armed class. The report names the lowest connector.
    fn report(&mut self, request: &HotplugRequest, report: Report) {
        if self.arming.covers(request.resource) {
            self.post(Notice {
                resource: request.resource,
                report: Some((report.word(), lowest(request))),
                ..Notice::EMPTY
            });
        }
    }

    /// Makes the promise anew, so that requests before are no longer promised.
    fn renew(&mut self) {
        if self.is_kernel_strange {
            return;
        }
        count(&mut self.counters.withdrawn);
        self.post(Notice { disarm: true, arm: !self.arm_when_idle, ..Notice::EMPTY });
    }

    /// Adds a notice. If there is no room for it, it is never told, so the promise is made anew.
    fn post(&mut self, notice: Notice) {
        if self.notices.push(notice) {
            return;
        }
        if !self.renewal_due {
            self.renewal_due = true;
            count(&mut self.counters.withdrawn);
        }
        self.delivered(&Notice { delivery: Delivery::Failed(Status::BUSY), ..notice });
    }

    /// Adds the notice whose time has come, if there is no other one.
    fn post_what_is_due(&mut self, rtas: &impl Rtas) -> Result<(), Busy> {
        if !self.notices.is_empty() {
            return Ok(());
        }
        let running = self.removal.as_ref().map(|removal| &removal.request);
        if self.renewal_due {
            self.renewal_due = false;
            self.post(Notice { disarm: true, arm: !self.arm_when_idle, ..Notice::EMPTY });
        } else if let Some(lost) = self.requests.take_lost(running) {
            self.answer(&lost);
        } else if self.arm_when_idle && self.removal.is_none() && self.requests.is_empty() {
            self.arm_when_idle = false;
            self.post(Notice { arm: true, ..Notice::EMPTY });
        }
        self.post_of_user_space(rtas)
    }

    /// Stores a refusal. Returns its number.
    fn add(&mut self, refusal: &Refusal) -> u64 {
        count(&mut self.counters.requests);
        count(&mut self.counters.refused);
        self.history.add(refusal)
    }

    /// Stores that the hypervisor was told of a removal whose result was not seen. Returns the
    /// number of the refusal, 0 if it was a release.
    fn add_unseen(&mut self, notice: &Notice) -> u64 {
        if notice.delivery == Delivery::Released {
            count(&mut self.counters.requests);
            count(&mut self.counters.released);
            return 0;
        }
        self.add(&Refusal {
            resource: notice.resource,
            connector: notice.connector,
            token: notice.token,
            ..Refusal::EMPTY
        })
    }

    /// Stores how the refusal of a notice was delivered, if it is about one.
    fn delivered(&mut self, notice: &Notice) {
        let number = if notice.unseen { self.add_unseen(notice) } else { notice.number };
        if number == 0 {
            return;
        }
        self.history.deliver(number, notice.delivery);
        match notice.delivery {
            Delivery::Reported => count(&mut self.counters.reported),
            Delivery::Before => count(&mut self.counters.told_before),
            Delivery::ByKernel => count(&mut self.counters.told_by_kernel),
            Delivery::ByModule => count(&mut self.counters.told_by_module),
            Delivery::Unnamed | Delivery::Absent | Delivery::Failed(_) => {
                count(&mut self.counters.not_told);
            }
            Delivery::Pending | Delivery::Released => {}
        }
    }
}

/// Returns whether this may be a request: the kernel was given it by firmware.
fn is_plausible(request: &HotplugRequest) -> bool {
    let HotplugRequest { resource, action, identifier_type, .. } = *request;
    (1..=6).contains(&resource.0)
        && (1..=2).contains(&action.0)
        && (1..=4).contains(&identifier_type.0)
}

/// Returns the lowest connector that a request names (PUE-G-032), 0 if it names none.
fn lowest(request: &HotplugRequest) -> DrcIndex {
    request.target().connector().unwrap_or_default()
}

#[cfg(test)]
#[path = "tracker/tests.rs"]
mod tests;
