// SPDX-License-Identifier: GPL-2.0-only

//! Requests that are left to user space: their answers, and the promise of these classes alone.

use super::{lowest, Refused, Tracker};
use crate::{
    logic::{
        counters::{count, raise},
        event_log::{ForUserSpace, Logged},
        handover::{Due, End, Process, Reading},
        notice::Notice,
        outcome::Hint,
        rtas::{self, Busy, Rtas},
    },
    wire::{hotplug::HotplugRequest, offer::Classes, report::Report, token::Token},
};
use core::mem;

impl Tracker {
    /// Follows user space from here on, so that its classes are promised as soon as they can be
    /// kept (PUE-G-011). Called before [`Self::promise`].
    pub fn follow_user_space(&mut self) {
        self.user_space_due = true;
        self.promise_user_space();
    }

    /// An event was added to the kernel's log, which has had `logged` of them.
    pub fn event_is_logged(&mut self, logged: u32, event: &ForUserSpace) {
        self.handover.log_has(logged);
        match event {
            ForUserSpace::Removal(Logged { request, token, .. }) => {
                if !self.handover.logs(request, *token) {
                    self.withdraw_user_space();
                }
            }
            ForUserSpace::Strange => self.lose_sight_of_user_space(),
            ForUserSpace::Other => {}
        }
    }

    /// The kernel's log takes no events any more.
    pub fn log_is_over(&mut self) {
        self.handover.log_is_over();
        self.withdraw_user_space();
    }

    /// A process has read an event. Returns whether the event is to be made void.
    pub fn event_is_read(
        &mut self,
        process: Process,
        request: &HotplugRequest,
        token: Token,
    ) -> bool {
        match self.handover.has_read(process, request, token) {
            Reading::Begins => false,
            Reading::Void => true,
            Reading::NoRoom => {
                self.withdraw_user_space();
                false
            }
        }
    }

    /// An interrupt for hot plug events was handled. `missed` is the number of additions to the
    /// kernel's log that no probe has seen. If it has grown by one, `event` returns that one, with
    /// which the log has had `logged` of them. Returns whether it has grown.
    pub fn log_is_missed(
        &mut self,
        missed: u64,
        logged: u32,
        event: impl FnOnce() -> ForUserSpace,
    ) -> bool {
        let more = raise(&mut self.missed_logs, missed);
        if more == 0 {
            return false;
        }
        let event = event();
        if more == 1 && !self.is_known(&event) {
            self.event_is_logged(logged, &event);
        } else {
            self.lose_sight_of_user_space();
        }
        true
    }

    /// An interrupt for hot plug events was handled, and no probe saw what it brought, whatever a
    /// canary shows: the kernel switches probes on or off one after the other.
    pub fn event_is_unseen(&mut self) {
        if !(self.arming.armed().0 & Classes::IN_USER_SPACE).is_empty() {
            self.lose_sight_of_user_space();
        }
    }

    /// Stores the number of times that a process has read the log or closed it and no probe has
    /// seen that.
    pub fn reading_is_missed(&mut self, missed: u64) {
        if raise(&mut self.missed_reads, missed) != 0 {
            self.lose_sight_of_user_space();
        }
    }

    /// Something of user space was not seen. What is open may have ended, so that it is answered as
    /// not seen, and requests that were never seen are not promised any more.
    pub fn lose_sight_of_user_space(&mut self) {
        self.handover.loses_sight();
        self.withdraw_user_space();
    }

    /// Probes do not fire: what user space does is not seen before they do again, and each process
    /// that reads has been woken (PUE-G-012). DISARM is sent.
    pub(super) fn go_blind(&mut self) {
        self.user_space_due |= self.arming.keep_user_space(false);
        self.handover.goes_blind();
    }

    /// Returns whether it has to be found out whether probes fire. That is due once.
    pub fn take_check(&mut self) -> bool {
        self.handover.take_check() || self.is_waking_due()
    }

    /// Returns whether processes that read have to be woken, and if so begins with that. Probes
    /// fire then.
    pub fn begin_waking(&mut self) -> bool {
        let is_due = self.is_waking_due() && !self.are_probes_off;
        if is_due {
            self.handover.begin_waking();
        }
        is_due
    }

    fn is_waking_due(&self) -> bool {
        self.user_space_due && self.handover.is_waking_due()
    }

    /// Returns whether the module's worker has to do something for user space.
    pub fn is_user_space_unsettled(&self) -> bool {
        self.handover.is_unsettled()
            || self.withdrawal_due
            || (self.is_waking_due() && !self.are_probes_off)
            || (self.user_space_due && self.handover.is_ready())
    }

    /// Posts what there is to tell, then ARM without these classes if they are to be withdrawn, and
    /// ARM when they can be kept again.
    pub(super) fn post_of_user_space(&mut self, rtas: &impl Rtas) -> Result<(), Busy> {
        while self.notices.is_empty() {
            let Some(due) = self.handover.due() else { break };
            self.post_due(rtas, &due)?;
            self.handover.told(&due);
        }
        if self.notices.is_empty() && mem::take(&mut self.withdrawal_due) {
            count(&mut self.counters.withdrawn);
            self.arm_anew();
        }
        if self.notices.is_empty() && self.promise_user_space() {
            self.arm_anew();
        }
        Ok(())
    }

    fn post_due(&mut self, rtas: &impl Rtas, due: &Due) -> Result<(), Busy> {
        let Due { request, token, end, .. } = *due;
        let Some(end) = end else {
            self.report(&request, Report::Started { token });
            return Ok(());
        };
        if end == End::Unseen {
            self.answer_unseen(&request, token);
            return Ok(());
        }
        let connector = request.target().connector();
        // Whoever gave the device back, there is nothing to refuse any more.
        if connector.map_or(Ok(false), |connector| rtas::is_gone(rtas, connector))? {
            count(&mut self.counters.requests);
            count(&mut self.counters.released);
            self.report(&request, Report::Done { token });
            return Ok(());
        }
        if end == End::Dropped {
            count(&mut self.counters.dropped);
        }
        let hint = connector.map_or(Hint::Impossible, Hint::On);
        self.refuse(&Refused {
            request: &request,
            token,
            cause: end.cause(),
            lmb: None,
            connector: lowest(&request),
            hint,
        });
        Ok(())
    }

    /// Withdraws the promise of the classes that are left to user space, and no other (PUE-G-073),
    /// until they can be kept again.
    fn withdraw_user_space(&mut self) {
        self.user_space_due = true;
        self.withdrawal_due |= self.arming.keep_user_space(false);
    }

    /// Lets ARM name these classes, if it may. Returns whether it did not before.
    fn promise_user_space(&mut self) -> bool {
        if !self.user_space_due || !self.handover.is_ready() {
            return false;
        }
        self.user_space_due = false;
        self.arming.keep_user_space(true)
    }

    /// Posts ARM, unless nothing is promised at the moment.
    fn arm_anew(&mut self) {
        if !self.arm_when_idle && !self.are_probes_off && self.is_complete {
            self.post(Notice { arm: true, ..Notice::EMPTY });
        }
    }

    fn is_known(&self, event: &ForUserSpace) -> bool {
        matches!(event, ForUserSpace::Removal(logged)
            if self.handover.is_newest(&logged.request, logged.token))
    }
}

#[cfg(test)]
#[path = "user_space/tests.rs"]
mod tests;
