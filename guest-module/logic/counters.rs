// SPDX-License-Identifier: GPL-2.0-only

//! Counters of events since the module was loaded.

use core::fmt;

/// Defines the counters: a member and a line of the debugfs file for each.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// All counters.
        #[derive(Clone, Copy, Debug)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Returns counters of zero.
            pub const fn new() -> Self {
                Self { $($name: 0,)* }
            }
        }

        /// A line for each counter: its name, a blank, its value.
        impl fmt::Display for Counters {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let lines = [$((stringify!($name), self.$name)),*];
                lines.iter().try_for_each(|(name, value)| writeln!(f, "{name} {value}"))
            }
        }
    };
}

counters! {
    /// Removals that the hypervisor requested and that were followed to their end.
    requests,
    /// Removals among them whose device the guest gave back.
    released,
    /// Removals among them that the guest refused.
    refused,
    /// Refusals that the module reported.
    reported,
    /// Refusals that the module hinted at.
    told_by_module,
    /// Refusals that the kernel hinted at.
    told_by_kernel,
    /// Refusals that an agent in user space had told of before, or whose request had been
    /// withdrawn.
    told_before,
    /// Refusals that the hypervisor was not told of.
    not_told,
    /// Removals that the guest's administrator requested. The hypervisor is not told of them.
    guest_initiated,
    /// Removals that began while another one was followed. The kernel's workqueue is ordered, so
    /// this stays 0.
    overlapped,
    /// Calls on the removal path that no probe saw. A reason may be less exact for each.
    missed,
    /// Calls of `queue_hotplug_event` that no probe saw.
    missed_events,
    /// Requests that the kernel lost for want of memory.
    dropped,
    /// Removals whose result no probe saw.
    unseen,
    /// LMBs that the guest had lost, and that the module gave back.
    recovered,
    /// Answered requests that user space was not to begin with any more.
    voided,
    /// Times that the promise was withdrawn because it could not be kept.
    withdrawn,
    /// Refusals that left the history before they were written to the kernel log.
    log_overruns,
}

/// Adds 1 to a counter.
pub fn count(counter: &mut u64) {
    raise_by(counter, 1);
}

/// Adds to a counter.
pub fn raise_by(counter: &mut u64, more: u64) {
    *counter = counter.wrapping_add(more);
}

/// Raises a counter to `total`. Returns by how much it grew.
pub fn raise(counter: &mut u64, total: u64) -> u64 {
    let more = total.saturating_sub(*counter);
    raise_by(counter, more);
    more
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn each_counter_has_its_own_line() {
        let mut counters = Counters::new();
        counters.refused = 1;
        counters.log_overruns = 7;
        assert_eq!(
            counters.to_string(),
            "requests 0\nreleased 0\nrefused 1\nreported 0\ntold_by_module 0\ntold_by_kernel 0\n\
             told_before 0\nnot_told 0\nguest_initiated 0\noverlapped 0\nmissed 0\nmissed_events 0\ndropped 0\n\
             unseen 0\nrecovered 0\nvoided 0\nwithdrawn 0\nlog_overruns 7\n"
        );
    }

    #[test]
    fn counter_is_raised_by_the_difference_and_never_lowered() {
        let mut counter = 3;
        assert_eq!([5, 5, 4].map(|total| raise(&mut counter, total)), [2, 0, 0]);
        assert_eq!(counter, 5);
    }
}
