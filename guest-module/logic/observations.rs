// SPDX-License-Identifier: GPL-2.0-only

//! Observations of the kernel while it takes one LMB or one CPU offline.
//!
//! Most causes are seen directly: the answer of a notifier, a hotplug state that fails, a page that
//! the kernel names. A few show only in that a later function is never called; see [`ProbeSet`].

use super::{
    cause::{Cause, Location},
    errno,
};
use crate::wire::reason::Reason;

/// The probes that are in force, of those whose silence means something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeSet(pub u32);

flags! {
    impl ProbeSet: u32 {
        /// `start_isolate_page_range`
        const ISOLATION = 1 << 0;
        /// `memory_notify`
        const NOTIFIERS = 1 << 1;
        /// `dlpar_hp_pmem`
        const PMEM_HANDLER = 1 << 2;
        /// `_cpu_down`
        const CPU_DOWN = 1 << 3;
        /// The tracepoint `cpuhp_exit`
        const CPU_STATES = 1 << 4;
        /// `dlpar_remove_lmb`
        const LMBS = 1 << 5;
        /// `get_lmb_range`
        const LMB_RANGE = 1 << 6;
        /// `device_offline`
        const DEVICE = 1 << 7;
        /// `offline_pages`
        const PAGES = 1 << 8;
    }
}

/// `flags` of `struct drmem_lmb`, which are those of LoPAR's `ibm,dynamic-memory`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LmbFlags(pub u32);

flags! {
    impl LmbFlags: u32 {
        /// The LMB belongs to the guest.
        const ASSIGNED = 0x08;
        /// The LMB is not for dynamic reconfiguration.
        const RESERVED = 0x80;
    }
}

/// Functions that the kernel called for the LMB or CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls(pub u32);

flags! {
    impl Calls: u32 {
        /// `start_isolate_page_range`, which has not returned.
        const ISOLATING = 1 << 0;
        /// `start_isolate_page_range`
        const ISOLATED = 1 << 1;
        /// The memory notifiers, which agreed.
        const NOTIFIERS_AGREED = 1 << 2;
        /// `_cpu_down`
        const CPU_DOWN = 1 << 3;
        /// `device_offline`, for a memory block.
        const BLOCK = 1 << 4;
        /// `offline_pages`
        const PAGES = 1 << 5;
    }
}

/// The CPUs that would remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpusLeft {
    /// Only one CPU is online.
    pub last_online: bool,
    /// No online CPU does housekeeping, except perhaps the one that is to go.
    pub no_housekeeping: bool,
}

/// Observations about one LMB or CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observations {
    calls: Calls,
    /// The number of the CPU that is being taken offline; `None` for an LMB.
    cpu: Option<u32>,
    cause: Option<Cause>,
}

impl Observations {
    /// Returns no observations.
    pub const fn new() -> Self {
        Self { calls: Calls(0), cpu: None, cause: None }
    }

    /// Returns the cause that was found, if any.
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Stores that `dlpar_remove_lmb` was entered for an LMB with these flags. What was seen of the
    /// LMB before is forgotten.
    pub fn lmb_begins(&mut self, flags: LmbFlags) {
        *self = Self::new();
        if flags.contains(LmbFlags::RESERVED) {
            self.found(Cause::of(Reason::LMB_RESERVED, errno::EINVAL));
        } else if !flags.contains(LmbFlags::ASSIGNED) {
            self.found(Cause::of(Reason::LMB_NOT_ASSIGNED, errno::EINVAL));
        }
    }

    /// Stores what `is_fadump_memory_area` returned.
    pub fn fadump_ends(&mut self, is_fadump: bool) {
        if is_fadump {
            self.found(Cause::of(Reason::LMB_FADUMP, errno::EINVAL));
        }
    }

    /// Stores that `dlpar_remove_lmb` failed.
    pub fn lmb_ends(&mut self, returned: i32, probes: ProbeSet) {
        // The kernel checks its table first, and then looks for the memory block.
        let no_block = probes.contains(ProbeSet::DEVICE) && !self.calls.contains(Calls::BLOCK);
        if returned == errno::EINVAL && no_block {
            self.found(Cause::by_exclusion(Reason::NO_SUCH_RESOURCE, returned));
        }
    }

    /// Stores that `device_offline` was entered for a memory block.
    pub fn block_begins(&mut self) {
        self.calls |= Calls::BLOCK;
    }

    /// Stores that `device_offline` was entered for a CPU. What was seen of the CPU before is
    /// forgotten.
    pub fn cpu_begins(&mut self, cpu: u32) {
        *self = Self { cpu: Some(cpu), ..Self::new() };
    }

    /// Stores that `start_isolate_page_range` was entered.
    pub fn isolation_begins(&mut self) {
        self.calls |= Calls::ISOLATING | Calls::ISOLATED;
    }

    /// Stores what `start_isolate_page_range` returned.
    pub fn isolation_ends(&mut self, returned: i32) {
        self.calls = self.calls.difference(Calls::ISOLATING);
        if returned == errno::EBUSY {
            self.found(Cause::of(Reason::UNMOVABLE_PAGE, returned));
        }
    }

    /// Stores that `dump_page` was entered for the page at a physical address. During isolation the
    /// kernel names the page that it cannot isolate.
    pub fn page_named(&mut self, address: u64) {
        if self.calls.contains(Calls::ISOLATING) {
            let location = Location::Address(address);
            self.found(Cause { location, ..Cause::of(Reason::UNMOVABLE_PAGE, errno::EBUSY) });
        }
    }

    /// Stores the answer of the memory or node notifiers: a negative errno, or 0 if they agree.
    pub fn notifiers_end(&mut self, answer: i32) {
        if answer == 0 {
            self.calls |= Calls::NOTIFIERS_AGREED;
        } else {
            self.found(Cause::of(Reason::MEMORY_VETO, answer));
        }
    }

    /// Stores the result of dissolving the free huge pages.
    pub fn huge_pages_end(&mut self, returned: i32) {
        if returned != 0 {
            self.found(Cause::of(Reason::HUGE_PAGE, returned));
        }
    }

    /// Stores that `offline_pages` was entered.
    pub fn pages_begin(&mut self) {
        self.calls |= Calls::PAGES;
    }

    /// Stores what `offline_pages` returned.
    pub fn pages_end(&mut self, returned: i32, probes: ProbeSet) {
        let agreed = self.calls.contains(Calls::NOTIFIERS_AGREED);
        let isolated = self.calls.contains(Calls::ISOLATED);
        match returned {
            errno::EINTR => self.found(Cause::of(Reason::INTERRUPTED, returned)),
            errno::EBUSY if agreed => {
                self.found(Cause::by_exclusion(Reason::UNMOVABLE_PAGE, returned));
            }
            errno::EINVAL if probes.contains(ProbeSet::ISOLATION) && !isolated => {
                self.found(Cause::by_exclusion(Reason::MEMORY_LAYOUT, returned));
            }
            _ => {}
        }
    }

    /// Stores that `_cpu_down` was entered for a CPU. Some kernels call it in another task.
    pub fn cpu_down_begins(&mut self, cpu: u32) {
        if self.cpu == Some(cpu) {
            self.calls |= Calls::CPU_DOWN;
        }
    }

    /// Stores that a state of CPU hotplug failed for a CPU. The state itself ends before those that
    /// contain it. `reached` is the state in which the CPU is by then; if it is `state`, all states
    /// together ended where they began, and none of them had run.
    pub fn cpu_state_fails(&mut self, cpu: u32, reached: u32, state: u32, errno: i32) {
        if self.cpu == Some(cpu) {
            let location =
                if reached == state { Location::Unknown } else { Location::CpuState(state) };
            self.found(Cause { location, ..Cause::of(Reason::CPU_VETO, errno) });
        }
    }

    /// Stores that `device_offline` failed, and which CPUs would remain.
    pub fn device_ends(&mut self, returned: i32, left: CpusLeft, probes: ProbeSet) {
        let no_pages = probes.contains(ProbeSet::PAGES) && !self.calls.contains(Calls::PAGES);
        if self.is_about_a_cpu() {
            self.cpu_ends(returned, left, probes);
        } else if returned == errno::EINVAL && no_pages {
            // The block has no zone.
            self.found(Cause::by_exclusion(Reason::MEMORY_LAYOUT, returned));
        }
        if returned == errno::ENOMEM {
            self.found(Cause::of(Reason::NO_MEMORY, returned));
        }
    }

    fn cpu_ends(&mut self, returned: i32, left: CpusLeft, probes: ProbeSet) {
        let reached = self.calls.contains(Calls::CPU_DOWN);
        let no_state = reached && probes.contains(ProbeSet::CPU_STATES);
        let not_reached = !reached && probes.contains(ProbeSet::CPU_DOWN);
        let reason = match returned {
            errno::EOPNOTSUPP => {
                return self.found(Cause::of(Reason::CPU_HOTPLUG_DISABLED, returned));
            }
            errno::EBUSY if no_state && left.last_online => Reason::LAST_CPU,
            errno::EBUSY if no_state && left.no_housekeeping => Reason::LAST_HOUSEKEEPING_CPU,
            // Some kernels look for other housekeepers before they call `_cpu_down`.
            errno::EBUSY if not_reached && left.no_housekeeping => Reason::LAST_HOUSEKEEPING_CPU,
            errno::EBUSY if not_reached => Reason::CPU_HOTPLUG_DISABLED,
            // The device must not go offline.
            errno::EPERM if not_reached => Reason::CPU_HOTPLUG_DISABLED,
            _ => return,
        };
        self.found(Cause::by_exclusion(reason, returned));
    }

    /// Returns the number of the CPU that is being taken offline.
    pub fn cpu(&self) -> Option<u32> {
        self.cpu
    }

    /// Returns whether a CPU is being taken offline, and not an LMB.
    pub fn is_about_a_cpu(&self) -> bool {
        self.cpu.is_some()
    }

    /// Stores a cause unless one is stored: the first that is seen is the deepest.
    fn found(&mut self, cause: Cause) {
        self.cause.get_or_insert(cause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ProbeSet = ProbeSet(u32::MAX);
    const ASSIGNED: LmbFlags = LmbFlags::ASSIGNED;

    /// The reason and errno that these observations lead to.
    fn found(observe: impl FnOnce(&mut Observations)) -> Option<(Reason, i32)> {
        let mut observations = Observations::new();
        observe(&mut observations);
        observations.cause().map(|cause| (cause.reason, cause.errno))
    }

    /// PUE-G-036
    #[test]
    fn lmb_that_the_kernels_table_excludes_has_the_tables_reason() {
        assert_eq!(
            found(|observations| observations.lmb_begins(LmbFlags(0x88))),
            Some((Reason::LMB_RESERVED, -22))
        );
        assert_eq!(
            found(|observations| observations.lmb_begins(LmbFlags(0))),
            Some((Reason::LMB_NOT_ASSIGNED, -22))
        );
        let fadump = |observations: &mut Observations| {
            observations.lmb_begins(ASSIGNED);
            observations.fadump_ends(true);
        };
        assert_eq!(found(fadump), Some((Reason::LMB_FADUMP, -22)));
        assert_eq!(found(|observations| observations.lmb_begins(ASSIGNED)), None);
    }

    /// PUE-G-036
    #[test]
    fn page_that_the_kernel_names_is_unmovable_and_has_an_address() {
        let mut observations = Observations::new();
        observations.lmb_begins(ASSIGNED);
        observations.page_named(0x1000);
        assert_eq!(observations.cause(), None);
        observations.isolation_begins();
        observations.page_named(0x9000_0000);
        observations.isolation_ends(-16);
        observations.pages_end(-16, ALL);
        let cause = observations.cause().unwrap();
        assert_eq!(
            (cause.reason, cause.location),
            (Reason::UNMOVABLE_PAGE, Location::Address(0x9000_0000))
        );
        assert!(!cause.by_exclusion);
    }

    /// PUE-G-036
    #[test]
    fn notifiers_veto_has_the_notifiers_errno() {
        let veto = |observations: &mut Observations| {
            observations.lmb_begins(ASSIGNED);
            observations.isolation_begins();
            observations.isolation_ends(0);
            observations.notifiers_end(-12);
            observations.pages_end(-12, ALL);
            observations.device_ends(-12, TWO, ALL);
        };
        assert_eq!(found(veto), Some((Reason::MEMORY_VETO, -12)));
    }

    /// PUE-G-036
    #[test]
    fn pages_that_fail_after_the_notifiers_agreed_have_the_reason_that_is_left() {
        let after = |returned| {
            found(|observations| {
                observations.isolation_begins();
                observations.isolation_ends(0);
                observations.notifiers_end(0);
                observations.pages_end(returned, ALL);
            })
        };
        assert_eq!(after(-16), Some((Reason::UNMOVABLE_PAGE, -16)));
        assert_eq!(after(-4), Some((Reason::INTERRUPTED, -4)));
        assert_eq!(after(-5), None);
        let huge = |observations: &mut Observations| {
            observations.notifiers_end(0);
            observations.huge_pages_end(-16);
            observations.pages_end(-16, ALL);
        };
        assert_eq!(found(huge), Some((Reason::HUGE_PAGE, -16)));
    }

    /// PUE-G-036
    #[test]
    fn memory_that_is_not_even_isolated_has_the_wrong_layout_if_isolation_can_be_seen() {
        assert_eq!(
            found(|observations| observations.pages_end(-22, ALL)),
            Some((Reason::MEMORY_LAYOUT, -22))
        );
        assert_eq!(found(|observations| observations.pages_end(-22, ProbeSet::default())), None);
        assert_eq!(found(|observations| observations.pages_end(-16, ALL)), None);
    }

    const TWO: CpusLeft = CpusLeft { last_online: false, no_housekeeping: false };
    const ONE: CpusLeft = CpusLeft { last_online: true, no_housekeeping: false };

    /// PUE-G-036
    #[test]
    fn lmb_whose_block_is_not_even_asked_has_none_if_that_can_be_seen() {
        let ends = |asked: bool, senses| {
            found(|observations| {
                observations.lmb_begins(ASSIGNED);
                if asked {
                    observations.block_begins();
                }
                observations.lmb_ends(-22, senses);
            })
        };
        assert_eq!(ends(false, ALL), Some((Reason::NO_SUCH_RESOURCE, -22)));
        assert_eq!(ends(true, ALL), None);
        assert_eq!(ends(false, ProbeSet::default()), None);
    }

    /// PUE-G-036
    #[test]
    fn block_whose_pages_are_not_even_tried_has_the_wrong_layout_if_that_can_be_seen() {
        let ends = |tried: bool, senses| {
            found(|observations| {
                observations.lmb_begins(ASSIGNED);
                observations.block_begins();
                if tried {
                    observations.pages_begin();
                }
                observations.device_ends(-22, TWO, senses);
            })
        };
        assert_eq!(ends(false, ALL), Some((Reason::MEMORY_LAYOUT, -22)));
        assert_eq!(ends(true, ALL), None);
        assert_eq!(ends(false, ProbeSet::default()), None);
    }

    /// PUE-G-036
    #[test]
    fn cpu_that_the_kernel_keeps_without_running_a_state_has_a_veto_of_no_state() {
        let mut observations = Observations::new();
        observations.cpu_begins(3);
        observations.cpu_state_fails(3, 250, 250, -11);
        let cause = observations.cause().unwrap();
        assert_eq!(
            (cause.reason, cause.errno, cause.location),
            (Reason::CPU_VETO, -11, Location::Unknown)
        );
    }

    fn cpu(
        down: bool,
        state: Option<(u32, u32, i32)>,
        returned: i32,
        left: CpusLeft,
    ) -> Option<Cause> {
        let mut observations = Observations::new();
        observations.cpu_begins(3);
        if down {
            observations.cpu_down_begins(3);
        }
        if let Some((cpu, state, errno)) = state {
            observations.cpu_state_fails(cpu, state - 1, state, errno);
            observations.cpu_state_fails(cpu, 250, 250, errno);
        }
        observations.device_ends(returned, left, ALL);
        observations.cause()
    }

    /// PUE-G-036
    #[test]
    fn cpu_hotplug_state_that_fails_is_named_and_the_innermost_one() {
        let cause = cpu(true, Some((3, 150, -11)), -11, TWO).unwrap();
        assert_eq!(
            (cause.reason, cause.errno, cause.location),
            (Reason::CPU_VETO, -11, Location::CpuState(150))
        );
        assert_eq!(cpu(true, Some((4, 150, -11)), -11, TWO), None);
    }

    /// PUE-G-036
    #[test]
    fn cpu_that_is_busy_for_no_state_has_the_reason_of_how_far_it_came() {
        let none = CpusLeft { no_housekeeping: true, ..TWO };
        let reason =
            |down, returned, left| cpu(down, None, returned, left).map(|cause| cause.reason);
        assert_eq!(reason(false, -16, TWO), Some(Reason::CPU_HOTPLUG_DISABLED));
        assert_eq!(reason(false, -95, TWO), Some(Reason::CPU_HOTPLUG_DISABLED));
        assert_eq!(reason(true, -16, ONE), Some(Reason::LAST_CPU));
        assert_eq!(reason(true, -16, none), Some(Reason::LAST_HOUSEKEEPING_CPU));
        assert_eq!(reason(false, -16, none), Some(Reason::LAST_HOUSEKEEPING_CPU));
        assert_eq!(reason(true, -16, TWO), None);
        assert_eq!(reason(true, -12, TWO), Some(Reason::NO_MEMORY));
    }

    /// PUE-G-036
    #[test]
    fn device_that_must_not_go_offline_is_known_by_what_was_not_called() {
        let forbidden = |senses| {
            found(|observations| {
                observations.cpu_begins(3);
                observations.device_ends(-1, TWO, senses);
            })
        };
        assert_eq!(forbidden(ALL), Some((Reason::CPU_HOTPLUG_DISABLED, -1)));
        assert_eq!(forbidden(ProbeSet::default()), None);
        assert_eq!(cpu(true, None, -1, TWO), None);
    }

    #[test]
    fn next_lmb_or_cpu_has_none_of_the_observations_before() {
        let mut observations = Observations::new();
        observations.isolation_begins();
        observations.isolation_ends(-16);
        observations.lmb_begins(ASSIGNED);
        assert_eq!(observations.cause(), None);
        observations.pages_end(-22, ALL);
        observations.cpu_begins(1);
        assert_eq!(observations.cause(), None);
    }
}
