// SPDX-License-Identifier: GPL-2.0-only

//! Delivery of what the tracker has decided: to firmware, and to the kernel log.

use crate::{
    bindings,
    firmware::Firmware,
    log,
    logic::{
        rtas::Busy,
        tracker::{Line, Progress},
    },
    probes::{all_probes_fire, look, probes_fire},
    worker::{self, Job},
    TRACKER,
};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The job of the worker.
pub(crate) struct Report;

impl Job for Report {
    fn run() {
        // What is known is told while it is promised.
        tell_all();
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
/// what firmware is too busy for, the look at what user space does, and the kernel log.
#[inline(never)]
pub(crate) fn tell() {
    if tell_firmware() {
        wake();
    }
}

/// Tells the hypervisor and the kernel log everything that was decided. For tracepoints.
pub(crate) fn tell_and_write() {
    if tell_firmware() && write() {
        wake();
    }
}

fn wake() {
    // SAFETY: Only probes, and those who unregister them, call this, while the worker exists.
    unsafe { worker::wake() };
}

/// Tells the hypervisor what firmware is not too busy for. Leaves ARM to the worker after probes were
/// off: it can find out whether all of them fire. Returns whether anything is left to do.
#[inline(never)]
fn tell_firmware() -> bool {
    loop {
        let (progress, is_unsettled) = TRACKER.with(|tracker| {
            let progress = tracker.tell_now(&Firmware);
            PROBES_OFF.store(tracker.are_probes_off(), Relaxed);
            (progress, tracker.is_unsettled())
        });
        match progress {
            Progress::Told => {}
            Progress::CheckProbes => {
                if TRACKER.with(|tracker| tracker.are_probes_unsettled()) {
                    return true;
                }
                let fire = probes_fire();
                TRACKER.with(|tracker| tracker.may_arm(fire));
            }
            Progress::Nothing => return is_unsettled,
        }
    }
}

/// Tells the hypervisor everything that was decided. Sleeps while firmware is busy.
pub(crate) fn tell_all() {
    loop {
        let told = TRACKER.with(|tracker| {
            let told = tracker.tell(&Firmware);
            PROBES_OFF.store(tracker.are_probes_off(), Relaxed);
            told
        });
        match told {
            Ok(Progress::Told) => {}
            Ok(Progress::CheckProbes) => check_probes(),
            Ok(Progress::Nothing) => break,
            Err(Busy(status)) => Firmware::pause(status),
        }
    }
}

/// Shows the tracker whether all probes fire, before it arms.
fn check_probes() {
    let fire = all_probes_fire();
    TRACKER.with(|tracker| {
        if fire {
            tracker.probes_have_settled();
        }
        tracker.may_arm(fire);
    });
}

/// Writes to the kernel log what is new, up to the first refusal that is not delivered. Returns
/// whether anything is left to do. May be called in any context but a probe's handler.
fn write() -> bool {
    loop {
        let (line, is_unsettled) =
            TRACKER.with(|tracker| (tracker.next_to_log(), tracker.is_unsettled()));
        match line {
            None => return is_unsettled,
            Some(Line::ProbesAreOff) => log::warn(format_args!(
                "probes are switched off (kernel.ftrace_enabled, kprobes/enabled): no answer is \
                 promised"
            )),
            Some(Line::ProbesAreOn) => log::notice(format_args!("probes are switched on again")),
            Some(Line::KernelIsStrange) => log::warn(format_args!(
                "this kernel handles hot plug events otherwise: no answer is promised"
            )),
            Some(Line::Refusal(refusal)) => {
                // SAFETY: The function may be called in any context.
                if unsafe { bindings::papr_may_log() } {
                    log::info(format_args!("{refusal}"));
                }
            }
        }
    }
}
