// SPDX-License-Identifier: GPL-2.0-only

//! Delivery of what the tracker has decided: to firmware, and to the kernel log.

use crate::{
    bindings,
    firmware::Firmware,
    log,
    logic::{rtas::Busy, tracker::Progress},
    probes::{look, probes_fire},
    worker::{self, Job},
    TRACKER,
};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The job of the worker.
pub(crate) struct Report;

impl Job for Report {
    fn run() {
        look();
        tell_all();
        write();
    }
}

/// True if probes are off, as far as the tracker knows. The end of every work item of the kernel
/// looks here, without the lock.
static PROBES_OFF: AtomicBool = AtomicBool::new(false);

/// Returns whether probes are off, as far as the tracker knows.
pub(crate) fn are_probes_off() -> bool {
    PROBES_OFF.load(Relaxed)
}

/// Tells the hypervisor everything that was decided, one notice at a time. Leaves to the worker
/// what firmware is too busy for, and the kernel log. For probes.
#[inline(never)]
pub(crate) fn tell() {
    tell_firmware();
    wake_if_unsettled();
}

/// Tells the hypervisor and the kernel log everything that was decided. For tracepoints.
pub(crate) fn tell_and_write() {
    tell_firmware();
    write();
    wake_if_unsettled();
}

#[inline(never)]
fn tell_firmware() {
    loop {
        match TRACKER.with(|tracker| tracker.tell_now(&Firmware)) {
            Progress::Told => {}
            Progress::CheckProbes => check_probes(),
            Progress::Nothing => break,
        }
    }
}

#[inline(never)]
fn wake_if_unsettled() {
    if TRACKER.with(|tracker| {
        PROBES_OFF.store(tracker.are_probes_off(), Relaxed);
        tracker.is_unsettled()
    }) {
        // SAFETY: Only probes call this, which are in force while the worker exists.
        unsafe { worker::wake() };
    }
}

/// Tells the hypervisor everything that was decided. Sleeps while firmware is busy.
pub(crate) fn tell_all() {
    loop {
        match TRACKER.with(|tracker| tracker.tell(&Firmware)) {
            Ok(Progress::Told) => {}
            Ok(Progress::CheckProbes) => check_probes(),
            Ok(Progress::Nothing) => break,
            Err(Busy(status)) => Firmware::pause(status),
        }
    }
    TRACKER.with(|tracker| PROBES_OFF.store(tracker.are_probes_off(), Relaxed));
}

/// Shows the tracker whether probes fire, before it arms.
fn check_probes() {
    let fire = probes_fire();
    TRACKER.with(|tracker| tracker.may_arm(fire));
}

/// Writes new refusals to the kernel log, up to the first that is not delivered. May be called in
/// any context but a probe's handler.
fn write() {
    match TRACKER.with(|tracker| tracker.next_switch_to_log()) {
        Some(true) => log::warn(format_args!(
            "probes are switched off (kernel.ftrace_enabled, kprobes/enabled): no answer is \
             promised"
        )),
        Some(false) => log::notice(format_args!("probes are switched on again")),
        None => {}
    }
    if TRACKER.with(|tracker| tracker.next_doubt_to_log()) {
        log::warn(format_args!(
            "this kernel handles hot plug events otherwise: no answer is promised"
        ));
    }
    while let Some(refusal) = TRACKER.with(|tracker| tracker.next_to_log()) {
        // SAFETY: The function may be called in any context.
        if unsafe { bindings::papr_may_log() } {
            log::info(format_args!("{refusal}"));
        }
    }
}
