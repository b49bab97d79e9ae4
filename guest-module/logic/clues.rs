// SPDX-License-Identifier: GPL-2.0-only

//! What is seen while the kernel takes one LMB or one CPU offline: clues to why it fails, if it does.
//!
//! Most causes are seen themselves: a notifier's answer, a hotplug state that failed, a page that the kernel names. A few
//! leave no trace but that something further on was never reached; those count as inferred, see [`Senses`].

use super::cause::{Cause, CauseCell, Place};
use crate::wire::reason::Reason;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Linux's error numbers, as the kernel returns them.
pub mod errno {
    /// Operation not permitted.
    pub const EPERM: i32 = -1;
    /// Interrupted.
    pub const EINTR: i32 = -4;
    /// Out of memory.
    pub const ENOMEM: i32 = -12;
    /// Busy.
    pub const EBUSY: i32 = -16;
    /// No such device.
    pub const ENODEV: i32 = -19;
    /// Invalid argument.
    pub const EINVAL: i32 = -22;
    /// Not supported.
    pub const EOPNOTSUPP: i32 = -95;
}

/// Which functions can be seen on this kernel, of those whose silence is a clue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Senses(pub u32);

impl Senses {
    /// `start_isolate_page_range`
    pub const ISOLATION: Self = Self(1);
    /// `memory_notify`
    pub const NOTIFIERS: Self = Self(2);
    /// The tracepoints at which a worker begins with some work and has done it.
    pub const WORK: Self = Self(4);
    /// `_cpu_down`
    pub const CPU_DOWN: Self = Self(8);
    /// The tracepoint `cpuhp_exit`
    pub const CPU_STATES: Self = Self(16);
    /// `dlpar_remove_lmb`
    pub const LMBS: Self = Self(32);
    /// `get_lmb_range`
    pub const LMB_RANGE: Self = Self(64);
    /// `device_offline`
    pub const DEVICE: Self = Self(128);
    /// `offline_pages`
    pub const PAGES: Self = Self(256);

    /// Whether all of these can be seen.
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What the kernel says of an LMB in its table (`flags` of `struct drmem_lmb`; LoPAR, `ibm,dynamic-memory`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LmbFlags(pub u32);

impl LmbFlags {
    /// The LMB is the guest's.
    pub const ASSIGNED: Self = Self(0x08);
    /// It is not for dynamic reconfiguration.
    pub const RESERVED: Self = Self(0x80);

    fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// How many CPUs are left, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpusLeft {
    /// Only one is online.
    pub last_online: bool,
    /// None that is online does housekeeping, but perhaps the one that is to go.
    pub no_housekeeping: bool,
}

/// The clues to one LMB or CPU. Only the task whose attempt it is writes here, but for the states of CPU hotplug, which
/// that task waits for.
#[derive(Debug)]
pub struct Clues {
    /// See the constants.
    seen: AtomicU32,
    /// The CPU that is being taken offline, plus 1, or 0.
    cpu: AtomicU32,
    cause: CauseCell,
}

/// `start_isolate_page_range` runs.
const ISOLATING: u32 = 1;
/// It was called.
const ISOLATED: u32 = 2;
/// The memory notifiers were asked and agreed.
const NOTIFIERS_AGREED: u32 = 4;
/// `_cpu_down` was called for the CPU.
const CPU_DOWN: u32 = 8;
/// `device_offline` was called for the memory block.
const BLOCK: u32 = 16;
/// `offline_pages` was called.
const PAGES: u32 = 32;

impl Clues {
    /// None.
    pub const fn new() -> Self {
        Self { seen: AtomicU32::new(0), cpu: AtomicU32::new(0), cause: CauseCell::new() }
    }

    /// What was seen, if anything was.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    /// From now on it is about something else.
    pub fn begin(&self) {
        self.seen.store(0, Relaxed);
        self.cpu.store(0, Relaxed);
        self.cause.clear();
    }

    /// `dlpar_remove_lmb` was entered for an LMB with these flags.
    pub fn lmb_begins(&self, flags: LmbFlags) {
        self.begin();
        if flags.has(LmbFlags::RESERVED) {
            self.cause.set(&Cause::of(Reason::LMB_RESERVED, errno::EINVAL));
        } else if !flags.has(LmbFlags::ASSIGNED) {
            self.cause.set(&Cause::of(Reason::LMB_NOT_ASSIGNED, errno::EINVAL));
        }
    }

    /// `is_fadump_memory_area` said whether the LMB is.
    pub fn fadump_ends(&self, is_fadump: bool) {
        if is_fadump {
            self.cause.set_first(&Cause::of(Reason::LMB_FADUMP, errno::EINVAL));
        }
    }

    /// `dlpar_remove_lmb` failed.
    pub fn lmb_ends(&self, returned: i32, senses: Senses) {
        // The kernel has asked its table, and then looks for the memory block.
        if returned == errno::EINVAL && senses.has(Senses::DEVICE) && !self.has(BLOCK) {
            self.cause.set_first(&Cause::by_exclusion(Reason::NO_SUCH_RESOURCE, returned));
        }
    }

    /// `device_offline` was entered for a memory block.
    pub fn block_begins(&self) {
        self.see(BLOCK);
    }

    /// `device_offline` was entered; for a CPU's device, with the CPU's number.
    pub fn cpu_begins(&self, cpu: u32) {
        self.begin();
        self.cpu.store(cpu.wrapping_add(1), Relaxed);
    }

    /// `start_isolate_page_range` was entered.
    pub fn isolation_begins(&self) {
        self.see(ISOLATING | ISOLATED);
    }

    /// It returned.
    pub fn isolation_ends(&self, returned: i32) {
        self.seen.fetch_and(!ISOLATING, Relaxed);
        if returned == errno::EBUSY {
            self.cause.set_first(&Cause::of(Reason::UNMOVABLE_PAGE, returned));
        }
    }

    /// `dump_page` was entered for the page at this address: the kernel names the one that it cannot isolate.
    pub fn page_named(&self, address: u64) {
        if self.has(ISOLATING) {
            let place = Place::Address(address);
            self.cause.set_first(&Cause { place, ..Cause::of(Reason::UNMOVABLE_PAGE, errno::EBUSY) });
        }
    }

    /// The memory or node notifiers were asked before memory goes, and this is their errno, 0 if they agree.
    pub fn notifiers_end(&self, errno: i32) {
        if errno == 0 {
            self.see(NOTIFIERS_AGREED);
        } else {
            self.cause.set_first(&Cause::of(Reason::MEMORY_VETO, errno));
        }
    }

    /// The kernel dissolved the huge pages that are free, or failed to.
    pub fn huge_pages_end(&self, returned: i32) {
        if returned != 0 {
            self.cause.set_first(&Cause::of(Reason::HUGE_PAGE, returned));
        }
    }

    /// `offline_pages` was entered.
    pub fn pages_begin(&self) {
        self.see(PAGES);
    }

    /// `offline_pages` returned.
    pub fn pages_end(&self, returned: i32, senses: Senses) {
        match returned {
            errno::EINTR => self.cause.set_first(&Cause::of(Reason::INTERRUPTED, returned)),
            errno::EBUSY if self.has(NOTIFIERS_AGREED) => {
                self.cause.set_first(&Cause::by_exclusion(Reason::UNMOVABLE_PAGE, returned));
            }
            errno::EINVAL if senses.has(Senses::ISOLATION) && !self.has(ISOLATED) => {
                self.cause.set_first(&Cause::by_exclusion(Reason::MEMORY_LAYOUT, returned));
            }
            _ => {}
        }
    }

    /// `_cpu_down` was entered for this CPU, by any task: some kernels let another one do it.
    pub fn cpu_down_begins(&self, cpu: u32) {
        if self.is_about(cpu) {
            self.see(CPU_DOWN);
        }
    }

    /// A state of CPU hotplug failed for this CPU; the state's own end comes before those that contain it. By then the CPU
    /// had `reached` another state, unless this is the end of all states together, from where they began: then none of them
    /// had run when the kernel said no.
    pub fn cpu_state_fails(&self, cpu: u32, reached: u32, state: u32, errno: i32) {
        if self.is_about(cpu) {
            let place = if reached == state { Place::Unknown } else { Place::CpuState(state) };
            self.cause.set_first(&Cause { place, ..Cause::of(Reason::CPU_VETO, errno) });
        }
    }

    /// `device_offline` failed, and so many CPUs are left.
    pub fn device_ends(&self, returned: i32, left: CpusLeft, senses: Senses) {
        if self.is_about_a_cpu() {
            self.cpu_ends(returned, left, senses);
        } else if returned == errno::EINVAL && senses.has(Senses::PAGES) && !self.has(PAGES) {
            // The block has no zone.
            self.cause.set_first(&Cause::by_exclusion(Reason::MEMORY_LAYOUT, returned));
        }
        if returned == errno::ENOMEM {
            self.cause.set_first(&Cause::of(Reason::NO_MEMORY, returned));
        }
    }

    fn cpu_ends(&self, returned: i32, left: CpusLeft, senses: Senses) {
        let reached = self.has(CPU_DOWN);
        match returned {
            errno::EOPNOTSUPP => self.cause.set_first(&Cause::of(Reason::CPU_HOTPLUG_DISABLED, returned)),
            errno::EBUSY if reached && senses.has(Senses::CPU_STATES) && left.last_online => {
                self.cause.set_first(&Cause::by_exclusion(Reason::LAST_CPU, returned));
            }
            errno::EBUSY if reached && senses.has(Senses::CPU_STATES) && left.no_housekeeping => {
                self.cause.set_first(&Cause::by_exclusion(Reason::LAST_HOUSEKEEPING_CPU, returned));
            }
            // Some kernels look for other housekeepers before they come to `_cpu_down`.
            errno::EBUSY if !reached && senses.has(Senses::CPU_DOWN) => {
                let reason =
                    if left.no_housekeeping { Reason::LAST_HOUSEKEEPING_CPU } else { Reason::CPU_HOTPLUG_DISABLED };
                self.cause.set_first(&Cause::by_exclusion(reason, returned));
            }
            // The device must not go offline.
            errno::EPERM if !reached && senses.has(Senses::CPU_DOWN) => {
                self.cause.set_first(&Cause::by_exclusion(Reason::CPU_HOTPLUG_DISABLED, returned));
            }
            _ => {}
        }
    }

    /// The number of the CPU that it is about.
    pub fn cpu(&self) -> u32 {
        self.cpu.load(Relaxed).wrapping_sub(1)
    }

    /// Whether it is about a CPU, and not about memory.
    pub fn is_about_a_cpu(&self) -> bool {
        self.cpu.load(Relaxed) != 0
    }

    fn is_about(&self, cpu: u32) -> bool {
        self.cpu.load(Relaxed) == cpu.wrapping_add(1)
    }

    fn see(&self, what: u32) {
        self.seen.fetch_or(what, Relaxed);
    }

    fn has(&self, what: u32) -> bool {
        self.seen.load(Relaxed) & what == what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Senses = Senses(u32::MAX);
    const ASSIGNED: LmbFlags = LmbFlags::ASSIGNED;

    /// The reason and errno that these clues lead to.
    fn found(clue: impl FnOnce(&Clues)) -> Option<(Reason, i32)> {
        let clues = Clues::new();
        clue(&clues);
        clues.cause().map(|cause| (cause.reason, cause.errno))
    }

    /// PUE-G-036
    #[test]
    fn lmb_that_the_kernels_table_excludes_has_the_tables_reason() {
        assert_eq!(found(|clues| clues.lmb_begins(LmbFlags(0x88))), Some((Reason::LMB_RESERVED, -22)));
        assert_eq!(found(|clues| clues.lmb_begins(LmbFlags(0))), Some((Reason::LMB_NOT_ASSIGNED, -22)));
        let fadump = |clues: &Clues| {
            clues.lmb_begins(ASSIGNED);
            clues.fadump_ends(true);
        };
        assert_eq!(found(fadump), Some((Reason::LMB_FADUMP, -22)));
        assert_eq!(found(|clues| clues.lmb_begins(ASSIGNED)), None);
    }

    /// PUE-G-036
    #[test]
    fn page_that_the_kernel_names_is_unmovable_and_has_an_address() {
        let clues = Clues::new();
        clues.lmb_begins(ASSIGNED);
        clues.page_named(0x1000);
        assert_eq!(clues.cause(), None);
        clues.isolation_begins();
        clues.page_named(0x9000_0000);
        clues.isolation_ends(-16);
        clues.pages_end(-16, ALL);
        let cause = clues.cause().unwrap();
        assert_eq!((cause.reason, cause.place), (Reason::UNMOVABLE_PAGE, Place::Address(0x9000_0000)));
        assert!(!cause.by_exclusion);
    }

    /// PUE-G-036
    #[test]
    fn notifiers_veto_has_the_notifiers_errno() {
        let veto = |clues: &Clues| {
            clues.lmb_begins(ASSIGNED);
            clues.isolation_begins();
            clues.isolation_ends(0);
            clues.notifiers_end(-12);
            clues.pages_end(-12, ALL);
            clues.device_ends(-12, TWO, ALL);
        };
        assert_eq!(found(veto), Some((Reason::MEMORY_VETO, -12)));
    }

    /// PUE-G-036
    #[test]
    fn pages_that_fail_after_the_notifiers_agreed_have_the_reason_that_is_left() {
        let after = |returned| {
            found(|clues| {
                clues.isolation_begins();
                clues.isolation_ends(0);
                clues.notifiers_end(0);
                clues.pages_end(returned, ALL);
            })
        };
        assert_eq!(after(-16), Some((Reason::UNMOVABLE_PAGE, -16)));
        assert_eq!(after(-4), Some((Reason::INTERRUPTED, -4)));
        assert_eq!(after(-5), None);
        let huge = |clues: &Clues| {
            clues.notifiers_end(0);
            clues.huge_pages_end(-16);
            clues.pages_end(-16, ALL);
        };
        assert_eq!(found(huge), Some((Reason::HUGE_PAGE, -16)));
    }

    /// PUE-G-036
    #[test]
    fn memory_that_is_not_even_isolated_has_the_wrong_layout_if_isolation_can_be_seen() {
        assert_eq!(found(|clues| clues.pages_end(-22, ALL)), Some((Reason::MEMORY_LAYOUT, -22)));
        assert_eq!(found(|clues| clues.pages_end(-22, Senses::default())), None);
        assert_eq!(found(|clues| clues.pages_end(-16, ALL)), None);
    }

    const TWO: CpusLeft = CpusLeft { last_online: false, no_housekeeping: false };
    const ONE: CpusLeft = CpusLeft { last_online: true, no_housekeeping: false };

    /// PUE-G-036
    #[test]
    fn lmb_whose_block_is_not_even_asked_has_none_if_that_can_be_seen() {
        let ends = |asked: bool, senses| {
            found(|clues| {
                clues.lmb_begins(ASSIGNED);
                if asked {
                    clues.block_begins();
                }
                clues.lmb_ends(-22, senses);
            })
        };
        assert_eq!(ends(false, ALL), Some((Reason::NO_SUCH_RESOURCE, -22)));
        assert_eq!(ends(true, ALL), None);
        assert_eq!(ends(false, Senses::default()), None);
    }

    /// PUE-G-036
    #[test]
    fn block_whose_pages_are_not_even_tried_has_the_wrong_layout_if_that_can_be_seen() {
        let ends = |tried: bool, senses| {
            found(|clues| {
                clues.lmb_begins(ASSIGNED);
                clues.block_begins();
                if tried {
                    clues.pages_begin();
                }
                clues.device_ends(-22, TWO, senses);
            })
        };
        assert_eq!(ends(false, ALL), Some((Reason::MEMORY_LAYOUT, -22)));
        assert_eq!(ends(true, ALL), None);
        assert_eq!(ends(false, Senses::default()), None);
    }

    /// PUE-G-036
    #[test]
    fn cpu_that_the_kernel_keeps_without_running_a_state_has_a_veto_of_no_state() {
        let clues = Clues::new();
        clues.cpu_begins(3);
        clues.cpu_state_fails(3, 250, 250, -11);
        let cause = clues.cause().unwrap();
        assert_eq!((cause.reason, cause.errno, cause.place), (Reason::CPU_VETO, -11, Place::Unknown));
    }

    fn cpu(down: bool, state: Option<(u32, u32, i32)>, returned: i32, left: CpusLeft) -> Option<Cause> {
        let clues = Clues::new();
        clues.cpu_begins(3);
        if down {
            clues.cpu_down_begins(3);
        }
        if let Some((cpu, state, errno)) = state {
            clues.cpu_state_fails(cpu, state - 1, state, errno);
            clues.cpu_state_fails(cpu, 250, 250, errno);
        }
        clues.device_ends(returned, left, ALL);
        clues.cause()
    }

    /// PUE-G-036
    #[test]
    fn cpu_hotplug_state_that_fails_is_named_and_the_innermost_one() {
        let cause = cpu(true, Some((3, 150, -11)), -11, TWO).unwrap();
        assert_eq!((cause.reason, cause.errno, cause.place), (Reason::CPU_VETO, -11, Place::CpuState(150)));
        assert_eq!(cpu(true, Some((4, 150, -11)), -11, TWO), None);
    }

    /// PUE-G-036
    #[test]
    fn cpu_that_is_busy_for_no_state_has_the_reason_of_how_far_it_came() {
        let none = CpusLeft { no_housekeeping: true, ..TWO };
        let reason = |down, returned, left| cpu(down, None, returned, left).map(|cause| cause.reason);
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
            found(|clues| {
                clues.cpu_begins(3);
                clues.device_ends(-1, TWO, senses);
            })
        };
        assert_eq!(forbidden(ALL), Some((Reason::CPU_HOTPLUG_DISABLED, -1)));
        assert_eq!(forbidden(Senses::default()), None);
        assert_eq!(cpu(true, None, -1, TWO), None);
    }

    #[test]
    fn next_lmb_or_cpu_has_none_of_the_clues_before() {
        let clues = Clues::new();
        clues.isolation_begins();
        clues.isolation_ends(-16);
        clues.lmb_begins(ASSIGNED);
        assert_eq!(clues.cause(), None);
        clues.pages_end(-22, ALL);
        clues.cpu_begins(1);
        assert_eq!(clues.cause(), None);
    }
}
