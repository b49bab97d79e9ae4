// SPDX-License-Identifier: GPL-2.0-only

//! Removal that the kernel's worker is making: its request, and what the probes see of it.

use super::{
    cause::Cause,
    errno,
    observations::{CpusLeft, LmbFlags, Observations, ProbeSet},
    outcome::{self, Failure, Observed},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{HotplugRequest, Resource, Target},
    reason::Reason,
    token::Token,
};
use core::{fmt, ops::Range};

/// The number of functions that can be known to run, each called by the one before.
const STEPS: usize = 8;

/// A task of the kernel, known by the address of its `task_struct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task(pub usize);

/// Facts that are known when a removal begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begin {
    /// The number of calls that probes have missed.
    pub missed: u64,
    /// The time, in seconds since the kernel was booted.
    pub now: u64,
}

/// The state of a removal that runs, for people.
#[derive(Clone, Copy, Debug)]
pub struct State {
    resource: Resource,
    connector: Option<DrcIndex>,
    token: Token,
    lmb: Option<DrcIndex>,
    step: Option<&'static str>,
    seconds: u64,
}

/// The line of the debugfs file `removal`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "resource={}", self.resource)?;
        if let Some(connector) = self.connector {
            write!(f, " connector={connector}")?;
        }
        if self.token.is_some() {
            write!(f, " token={}", self.token)?;
        }
        if let Some(lmb) = self.lmb {
            write!(f, " lmb={lmb}")?;
        }
        if let Some(step) = self.step {
            write!(f, " step={step}")?;
        }
        write!(f, " seconds={}", self.seconds)
    }
}

/// A removal from when the kernel's work on its request begins to when that work ends.
#[derive(Clone, Copy, Debug)]
pub struct Removal {
    /// The worker that makes it.
    pub task: Task,
    /// The hypervisor's request.
    pub request: HotplugRequest,
    /// The token of the request.
    pub token: Token,
    /// Observations of the LMB or CPU that is being taken offline.
    pub observations: Observations,
    observed: Observed,
    /// The time at which the removal began, in seconds since the kernel was booted.
    since: u64,
    /// The probed functions that run, the innermost last, as far as there is room.
    steps: [&'static str; STEPS],
    depth: usize,
    /// The result of the handler of the resource: `dlpar_memory`, `dlpar_cpu` or `dlpar_hp_pmem`.
    handled: Option<i32>,
    /// The number of calls that probes had missed when the removal began.
    missed_before: u64,
    /// The connector that is being given back.
    releasing: DrcIndex,
    /// The LMB that is being taken offline.
    removing: DrcIndex,
    /// The LMB that is being brought back.
    restoring: DrcIndex,
}

impl Removal {
    /// Returns a removal that begins now. `missed` is the number of calls that probes have missed.
    pub fn new(
        task: Task,
        request: HotplugRequest,
        token: Token,
        Begin { missed, now }: Begin,
    ) -> Self {
        Self {
            task,
            request,
            token,
            observations: Observations::new(),
            observed: Observed::default(),
            since: now,
            steps: [""; STEPS],
            depth: 0,
            handled: None,
            missed_before: missed,
            releasing: DrcIndex(0),
            removing: DrcIndex(0),
            restoring: DrcIndex(0),
        }
    }

    /// Stores that a probed function was entered.
    pub fn step_begins(&mut self, function: &'static str) {
        if let Some(step) = self.steps.get_mut(self.depth) {
            *step = function;
        }
        self.depth = self.depth.saturating_add(1);
    }

    /// Stores that the innermost function that runs has returned.
    pub fn step_ends(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Returns what the debugfs file `removal` shows. `now` is in seconds since the boot.
    pub fn state(&self, now: u64) -> State {
        let innermost = self.depth.min(STEPS).checked_sub(1);
        State {
            resource: self.request.resource,
            connector: self.request.target().connector(),
            token: self.token,
            lmb: Some(self.removing).filter(|lmb| *lmb != DrcIndex(0)),
            step: innermost.and_then(|nth| self.steps.get(nth)).copied(),
            seconds: now.saturating_sub(self.since),
        }
    }

    /// Returns what was seen of the removal, which ends; `None` if no probe saw what its handler
    /// returned. `missed` is the number of calls that probes have missed.
    pub fn ends(&mut self, missed: u64, probes: ProbeSet) -> Option<&Observed> {
        self.observed.returned = self.returned(probes)?;
        self.observed.blind = missed != self.missed_before;
        self.observed.probes = probes;
        Some(&self.observed)
    }

    /// Returns whether it is known what the removal came to, although its work has not ended.
    pub fn is_decided(&self) -> bool {
        self.handled.is_some()
    }

    /// Stores what the handler of the resource returned, and whether one CPU only is online then.
    pub fn handler_ends(&mut self, returned: i32, last_online: bool) {
        self.handled = Some(returned);
        self.observed.last_online = last_online;
    }

    /// Returns what the removal returned. Where the kernel has no handler for the resource, it
    /// calls none.
    fn returned(&self, probes: ProbeSet) -> Option<i32> {
        let has_handler = match self.request.resource {
            Resource::CPU | Resource::MEMORY => true,
            Resource::PMEM => probes.contains(ProbeSet::PMEM_HANDLER),
            _ => false,
        };
        self.handled.or((!has_handler).then_some(errno::EINVAL))
    }

    /// Stores that the kernel begins to give a connector back.
    pub fn release_begins(&mut self, connector: DrcIndex) {
        self.releasing = connector;
    }

    /// Stores whether the connector was given back.
    pub fn release_ends(&mut self, returned: i32) {
        if returned == 0 {
            self.observed.released = self.observed.released.saturating_add(1);
        } else {
            let cause = Cause::of(Reason::FIRMWARE_REFUSED, returned);
            let failure = Failure { connector: self.releasing, cause };
            self.observed.unreleased.get_or_insert(failure);
        }
    }

    /// Returns the connectors of the request, if the kernel has not tried to give all of them back.
    /// In a removal that succeeds, the kernel skips LMBs that it lost before.
    pub fn untried(&self) -> Option<Range<u32>> {
        let Target::IndexedCount { count, first } = self.request.target() else { return None };
        let is_whole = self.observed.released >= count || self.observed.unreleased.is_some();
        (self.request.resource == Resource::MEMORY && !is_whole)
            .then(|| first.0..first.0.saturating_add(count))
    }

    /// Stores that the kernel begins to take an LMB offline.
    pub fn lmb_begins(&mut self, lmb: DrcIndex, flags: LmbFlags) {
        self.observed.lmbs_tried = true;
        self.removing = lmb;
        self.observations.lmb_begins(flags);
    }

    /// Stores whether the LMB was taken offline.
    pub fn lmb_ends(&mut self, returned: i32, probes: ProbeSet) {
        if returned == 0 {
            return;
        }
        self.observations.lmb_ends(returned, probes);
        let cause = self.cause(returned);
        // A removal by count tries every LMB, most of which are not the guest's.
        let in_vain = [Reason::LMB_RESERVED, Reason::LMB_NOT_ASSIGNED].contains(&cause.reason);
        if !in_vain || self.observed.busy_lmb.is_none() {
            self.observed.busy_lmb = Some(Failure { connector: self.removing, cause });
        }
    }

    /// Stores that the kernel begins to bring an LMB back that it had taken offline.
    pub fn restoring_begins(&mut self, lmb: DrcIndex) {
        self.restoring = lmb;
    }

    /// Stores whether the LMB was brought back. The kernel configures its connector for that first,
    /// which signals the refusal (PUE-G-050), and returns `EINVAL` if that fails.
    pub fn restoring_ends(&mut self, returned: i32) {
        self.observed.unisolated |= returned != errno::EINVAL;
        if returned != 0 {
            let cause = Cause::of(Reason::ROLLBACK_FAILED, returned);
            self.observed.unrestored.get_or_insert(Failure { connector: self.restoring, cause });
        }
    }

    /// Stores whether the CPUs that had been taken offline are online again.
    pub fn cpus_return(&mut self, returned: i32) {
        if let (true, Some(connector)) = (returned != 0, self.request.target().connector()) {
            let cause = Cause::of(Reason::ROLLBACK_FAILED, returned);
            self.observed.unrestored = Some(Failure { connector, cause });
        }
    }

    /// Stores whether a CPU or a memory block was taken offline, and which CPUs would remain.
    pub fn device_ends(&mut self, returned: i32, left: CpusLeft, probes: ProbeSet) {
        if returned < 0 {
            self.observations.device_ends(returned, left, probes);
        }
        if !self.observations.is_about_a_cpu() {
            return;
        }
        if returned == 0 {
            self.observed.cpus_offline = self.observed.cpus_offline.saturating_add(1);
        } else {
            let cause = self.cause(returned);
            self.observed.stuck_cpu.get_or_insert(cause);
        }
    }

    /// Stores that a device node could not be detached.
    pub fn is_undetached(&mut self) {
        self.observed.undetached = true;
    }

    /// Stores whether the kernel found the LMBs of a request by index and count.
    pub fn range_ends(&mut self, returned: i32) {
        self.observed.range =
            if returned == 0 { outcome::Range::Found } else { outcome::Range::Missing };
    }

    /// Stores whether the kernel unisolated a connector, by which it signals a refusal.
    pub fn unisolate_ends(&mut self, returned: i32) {
        self.observed.unisolated |= returned == 0;
    }

    /// Returns the cause that was observed, with the error that it led to.
    fn cause(&self, returned: i32) -> Cause {
        let unattributed = Cause::of(Reason::UNATTRIBUTED, returned);
        Cause { errno: returned, ..self.observations.cause().unwrap_or(unattributed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString};

    const WORKER: Task = Task(0x1000);
    const LMB: DrcIndex = DrcIndex(0x8000_0009);
    const ASSIGNED: LmbFlags = LmbFlags::ASSIGNED;

    fn dimm() -> HotplugRequest {
        HotplugRequest::from([2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8])
    }

    fn begun() -> Removal {
        Removal::new(WORKER, dimm(), Token(7), Begin::default())
    }

    fn observed(removal: &mut Removal, returned: i32) -> Observed {
        removal.handler_ends(returned, false);
        *removal.ends(0, ProbeSet::default()).unwrap()
    }

    #[test]
    fn removal_returned_what_its_handler_did_if_the_kernel_has_one() {
        let mut removal = begun();
        assert_eq!(removal.ends(0, ProbeSet::default()), None);
        assert!(!removal.is_decided());
        removal.handler_ends(0, true);
        assert!(removal.is_decided());
        let ended = removal.ends(0, ProbeSet::default()).unwrap();
        assert_eq!((ended.returned, ended.last_online, ended.blind), (0, true, false));
        for (resource, probes, returned) in [
            (Resource::PMEM, ProbeSet::PMEM_HANDLER, None),
            (Resource::PMEM, ProbeSet::default(), Some(errno::EINVAL)),
            (Resource(9), ProbeSet::PMEM_HANDLER, Some(errno::EINVAL)),
        ] {
            let request = HotplugRequest { resource, ..dimm() };
            let mut removal = Removal::new(WORKER, request, Token(7), Begin::default());
            assert_eq!(removal.ends(0, probes).map(|ended| ended.returned), returned);
        }
    }

    #[test]
    fn state_names_the_request_the_lmb_the_innermost_step_and_the_time() {
        let mut removal = Removal::new(WORKER, dimm(), Token(7), Begin { missed: 0, now: 100 });
        let request = "resource=memory connector=0x80000008 token=0x0007";
        assert_eq!(removal.state(100).to_string(), format!("{request} seconds=0"));
        removal.step_begins("dlpar_memory");
        removal.lmb_begins(LMB, ASSIGNED);
        for _ in 0..=STEPS {
            removal.step_begins("offline_pages");
        }
        let step = format!("{request} lmb=0x80000009 step=offline_pages seconds=12");
        assert_eq!(removal.state(112).to_string(), step);
        for _ in 0..=STEPS {
            removal.step_ends();
        }
        let step = format!("{request} lmb=0x80000009 step=dlpar_memory seconds=13");
        assert_eq!(removal.state(113).to_string(), step);
    }

    #[test]
    fn removal_during_which_a_probe_missed_a_call_is_blind() {
        let mut removal = Removal::new(WORKER, dimm(), Token(7), Begin { missed: 3, now: 0 });
        removal.handler_ends(0, false);
        let blind = [3, 4].map(|missed| removal.ends(missed, ProbeSet::default()).unwrap().blind);
        assert_eq!(blind, [false, true]);
    }

    #[test]
    fn everything_that_was_seen_is_in_what_is_classified() {
        let mut removal = begun();
        removal.range_ends(0);
        removal.lmb_begins(LMB, ASSIGNED);
        removal.observations.notifiers_end(-16);
        removal.lmb_ends(-16, ProbeSet::default());
        removal.restoring_begins(LMB);
        removal.restoring_ends(-12);
        removal.release_begins(LMB);
        removal.release_ends(-1);
        removal.release_begins(DrcIndex(1));
        removal.release_ends(-2);
        removal.release_ends(0);
        removal.is_undetached();
        removal.unisolate_ends(0);
        let failure =
            |reason, errno| Some(Failure { connector: LMB, cause: Cause::of(reason, errno) });
        let expected = Observed {
            returned: -22,
            released: 1,
            unreleased: failure(Reason::FIRMWARE_REFUSED, -1),
            busy_lmb: failure(Reason::MEMORY_VETO, -16),
            unrestored: failure(Reason::ROLLBACK_FAILED, -12),
            undetached: true,
            unisolated: true,
            lmbs_tried: true,
            range: outcome::Range::Found,
            ..Observed::default()
        };
        assert_eq!(observed(&mut removal, -22), expected);
        assert_eq!(observed(&mut begun(), 0), Observed::default());
    }

    /// PUE-G-050
    #[test]
    fn lmb_that_is_configured_again_signals_the_refusal() {
        for (returned, signalled) in [(0, true), (-12, true), (errno::EINVAL, false)] {
            let mut removal = begun();
            removal.restoring_begins(LMB);
            removal.restoring_ends(returned);
            assert_eq!(observed(&mut removal, -22).unisolated, signalled, "{returned}");
        }
    }

    #[test]
    fn cpu_that_stays_is_counted_apart_from_those_that_went() {
        let mut removal = begun();
        removal.observations.cpu_begins(2);
        removal.device_ends(0, CpusLeft::default(), ProbeSet::default());
        removal.observations.cpu_begins(3);
        removal.observations.cpu_state_fails(3, 149, 150, -11);
        removal.device_ends(-11, CpusLeft::default(), ProbeSet::default());
        let ended = observed(&mut removal, -22);
        assert_eq!(ended.cpus_offline, 1);
        assert_eq!(
            ended.stuck_cpu.map(|cause| (cause.reason, cause.errno)),
            Some((Reason::CPU_VETO, -11))
        );
    }

    #[test]
    fn lmb_that_is_busy_for_no_known_reason_is_unattributed_with_its_errno() {
        let mut removal = begun();
        removal.lmb_begins(LMB, ASSIGNED);
        removal.lmb_ends(-5, ProbeSet::default());
        let cause = observed(&mut removal, -22).busy_lmb.map(|failure| failure.cause);
        assert_eq!(cause, Some(Cause::of(Reason::UNATTRIBUTED, -5)));
    }

    /// PUE-G-032
    #[test]
    fn lmb_that_is_nobodys_does_not_hide_the_one_that_is_busy() {
        let mut removal = begun();
        let mut ends = |lmb, flags, returned| {
            removal.lmb_begins(DrcIndex(lmb), LmbFlags(flags));
            removal.lmb_ends(returned, ProbeSet::default());
            observed(&mut removal, -22).busy_lmb.map(|failure| failure.connector)
        };
        assert_eq!(ends(0x8000_0001, 0x80, -22), Some(DrcIndex(0x8000_0001)));
        assert_eq!(ends(0x8000_0009, 0x08, -16), Some(LMB));
        assert_eq!(ends(0x8000_000A, 0, -22), Some(LMB));
    }

    /// PUE-G-032, PUE-G-036
    #[test]
    fn core_that_does_not_come_back_is_lost() {
        let mut removal = begun();
        removal.cpus_return(0);
        assert_eq!(observed(&mut removal, -5).unrestored, None);
        removal.cpus_return(-12);
        let lost = Failure {
            connector: DrcIndex(0x8000_0008),
            cause: Cause::of(Reason::ROLLBACK_FAILED, -12),
        };
        assert_eq!(observed(&mut removal, -5).unrestored, Some(lost));
    }

    #[test]
    fn signal_that_the_kernel_withheld_does_not_count() {
        let mut removal = begun();
        removal.unisolate_ends(-1);
        assert!(!observed(&mut removal, -22).unisolated);
    }

    #[test]
    fn lmbs_that_the_kernel_did_not_try_to_give_back_may_be_lost() {
        let mut removal = begun();
        assert_eq!(removal.untried(), Some(0x8000_0008..0x8000_000A));
        removal.release_ends(0);
        assert_eq!(removal.untried(), Some(0x8000_0008..0x8000_000A));
        removal.release_ends(0);
        assert_eq!(removal.untried(), None);
        let mut refused = begun();
        refused.release_ends(-1);
        let core = HotplugRequest { resource: Resource::CPU, ..dimm() };
        let core = Removal::new(WORKER, core, Token(7), Begin::default());
        assert_eq!([refused.untried(), core.untried()], [None, None]);
    }
}
