// SPDX-License-Identifier: GPL-2.0-only

//! The report: what is done after a refusal, outside of probes.

use crate::{firmware::Firmware, log, shim, worker::Job, WATCH};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many unseen calls the kernel log knows of.
static MISSED: AtomicU64 = AtomicU64::new(0);

/// Tells the hypervisor what firmware was too busy to hear, and the kernel log what happened.
pub(crate) struct Report;

impl Job for Report {
    fn run() {
        WATCH.settle(&Firmware);
        write();
    }
}

/// Tells the kernel log what happened, but for what the hypervisor has not heard yet. May be called anywhere but in a probe.
pub(crate) fn write() {
    WATCH.log(|refusal| {
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
