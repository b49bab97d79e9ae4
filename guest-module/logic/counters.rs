// SPDX-License-Identifier: GPL-2.0-only

//! How often what happened, since the module was loaded.

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// One number that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// None so far.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// There have been so many in all; returns whether that is more than was known.
    pub fn raise_to(&self, total: u64) -> u64 {
        total.saturating_sub(self.0.fetch_max(total, Relaxed))
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All counters.
#[derive(Debug)]
pub struct Counters {
    /// Removals that the hypervisor asked for and that were followed to their end.
    pub requests: Counter,
    /// Of these, what the guest gave back.
    pub released: Counter,
    /// And what it kept.
    pub refused: Counter,
    /// Refusals that this module reported to the hypervisor.
    pub reported: Counter,
    /// Refusals that this module signalled to the hypervisor.
    pub told_by_module: Counter,
    /// Refusals that the kernel told the hypervisor by itself.
    pub told_by_kernel: Counter,
    /// Refusals that nobody could tell the hypervisor.
    pub not_told: Counter,
    /// Removals that the guest's own administrator asked for, which are none of the hypervisor's business.
    pub guest_initiated: Counter,
    /// Removals that began while another was being followed. The kernel's workqueue is ordered, so there are none.
    pub overlapped: Counter,
    /// Calls that no probe saw: among them may be refusals that nobody told.
    pub missed: Counter,
    /// Requests whose arrival no probe saw.
    pub missed_events: Counter,
    /// Requests that the kernel lost for want of memory.
    pub dropped: Counter,
    /// Requests whose attempt no probe saw.
    pub unseen: Counter,
    /// How often the promise was withdrawn because it could not be kept.
    pub withdrawn: Counter,
    /// Refusals that left the journal before they came to the kernel log.
    pub log_overruns: Counter,
}

impl Counters {
    /// None so far.
    pub const fn new() -> Self {
        Self {
            requests: Counter::new(),
            released: Counter::new(),
            refused: Counter::new(),
            reported: Counter::new(),
            told_by_module: Counter::new(),
            told_by_kernel: Counter::new(),
            not_told: Counter::new(),
            guest_initiated: Counter::new(),
            overlapped: Counter::new(),
            missed: Counter::new(),
            missed_events: Counter::new(),
            dropped: Counter::new(),
            unseen: Counter::new(),
            withdrawn: Counter::new(),
            log_overruns: Counter::new(),
        }
    }
}

/// One line for each: its name, a blank, its value.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("requests", &self.requests),
            ("released", &self.released),
            ("refused", &self.refused),
            ("reported", &self.reported),
            ("told_by_module", &self.told_by_module),
            ("told_by_kernel", &self.told_by_kernel),
            ("not_told", &self.not_told),
            ("guest_initiated", &self.guest_initiated),
            ("overlapped", &self.overlapped),
            ("missed", &self.missed),
            ("missed_events", &self.missed_events),
            ("dropped", &self.dropped),
            ("unseen", &self.unseen),
            ("withdrawn", &self.withdrawn),
            ("log_overruns", &self.log_overruns),
        ];
        lines.iter().try_for_each(|(name, counter)| writeln!(f, "{name} {}", counter.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn each_counter_has_its_own_line() {
        let counters = Counters::new();
        counters.refused.increment();
        counters.log_overruns.add(7);
        assert_eq!(
            counters.to_string(),
            "requests 0\nreleased 0\nrefused 1\nreported 0\ntold_by_module 0\ntold_by_kernel 0\nnot_told 0\n\
             guest_initiated 0\noverlapped 0\nmissed 0\nmissed_events 0\ndropped 0\nunseen 0\nwithdrawn 0\nlog_overruns 7\n"
        );
    }
}
