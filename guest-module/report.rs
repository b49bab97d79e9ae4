// SPDX-License-Identifier: GPL-2.0-only

//! The report: what is done after a refusal, where sleeping is allowed.

use crate::{firmware::Firmware, log, shim, worker::Job, WATCH};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many unseen calls the kernel log knows of.
static MISSED: AtomicU64 = AtomicU64::new(0);

/// Tells the hypervisor what firmware was too busy to hear, and the kernel log what happened.
pub(crate) struct Report;

impl Job for Report {
    fn run() {
        WATCH.settle(&Firmware, |refusal| {
            // SAFETY: It may be called anywhere.
            if unsafe { shim::papr_may_log() } {
                log::info(format_args!("{refusal}"));
            }
        });
        let missed = WATCH.counters.missed.get();
        if MISSED.swap(missed, Relaxed) != missed {
            log::warn(format_args!("{missed} calls went by unseen so far; a refusal among them was not told"));
        }
    }
}
