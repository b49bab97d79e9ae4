// SPDX-License-Identifier: GPL-2.0-only

//! Delivery of what the tracker has decided: to firmware, and to the kernel log.

use crate::{
    bindings,
    firmware::Firmware,
    log,
    logic::rtas::Busy,
    worker::{self, Job},
    TRACKER,
};

/// The job of the worker.
pub(crate) struct Report;

impl Job for Report {
    fn run() {
        tell_all();
        write();
    }
}

/// Tells the hypervisor everything that was decided, one notice at a time. Leaves it to the worker
/// if firmware is busy. For probes.
pub(crate) fn tell() {
    while TRACKER.with(|tracker| tracker.tell_now(&Firmware)) {}
    if TRACKER.with(|tracker| tracker.is_unsettled()) {
        // SAFETY: Only probes call this, which are in force while the worker exists.
        unsafe { worker::wake() };
    }
}

/// Tells the hypervisor everything that was decided. Sleeps while firmware is busy.
pub(crate) fn tell_all() {
    loop {
        match TRACKER.with(|tracker| tracker.tell(&Firmware)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(Busy(status)) => Firmware::pause(status),
        }
    }
}

/// Writes new refusals to the kernel log, up to the first that is not delivered. May be called in
/// any context but a probe's handler.
pub(crate) fn write() {
    while let Some(refusal) = TRACKER.with(|tracker| tracker.next_to_log()) {
        // SAFETY: The function may be called in any context.
        if unsafe { bindings::papr_may_log() } {
            log::info(format_args!("{refusal}"));
        }
    }
}
