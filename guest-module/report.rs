// SPDX-License-Identifier: GPL-2.0-only

//! The report: what is done after a refusal, where sleeping is allowed.

use crate::{
    firmware::Firmware,
    logic::{refusal::Refusal, watch::Watch},
    shim,
    worker::Job,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::{fmt, prelude::*};

/// Tells the hypervisor what firmware was too busy to hear, and the kernel log what happened.
pub(crate) struct Report {
    pub(crate) watch: &'static Watch,
    firmware: Firmware,
    /// How many unseen calls the kernel log knows of.
    missed: AtomicU64,
}

impl Report {
    pub(crate) fn new(watch: &'static Watch, firmware: Firmware) -> Self {
        Self { watch, firmware, missed: AtomicU64::new(0) }
    }
}

impl Job for Report {
    fn run(&self) {
        self.watch.settle(&self.firmware, |refusal| {
            // SAFETY: It may be called anywhere.
            if unsafe { shim::papr_may_log() } {
                pr_info!("{}\n", refusal);
            }
        });
        let missed = self.watch.counters.missed.get();
        if self.missed.swap(missed, Relaxed) != missed {
            pr_warn!("{} calls went by unseen so far; a refusal among them was not told\n", missed);
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
