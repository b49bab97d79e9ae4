// SPDX-License-Identifier: GPL-2.0-only

//! The end of this kernel: a reboot, a halt, or another kernel that is started without a reset.

use crate::{firmware::Firmware, shim, worker, SENTRY, WATCH};

/// Withdraws the promise when the kernel goes down. That it does so is not worth failing for.
pub(crate) fn watch() {
    // SAFETY: The function may be called until it is no longer watched.
    let _ = unsafe { shim::papr_reboot_watch(down) };
}

/// Watches no longer. When this returns, nothing is withdrawn any more.
pub(crate) fn unwatch() {
    // SAFETY: It may be called in any task.
    unsafe { shim::papr_reboot_unwatch() };
}

unsafe extern "C" fn down() {
    // SAFETY: The probes are there before this is watched for, and until it is no longer.
    if let Some(sentry) = unsafe { SENTRY.get() } {
        // SAFETY: The sentry has the worker.
        unsafe { worker::wake() };
        sentry.worker().flush();
    }
    WATCH.withdraw_for_good(&Firmware);
}
