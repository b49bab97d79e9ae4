// SPDX-License-Identifier: GPL-2.0-only

//! End of this kernel: a reboot, a halt, or a kexec without a reset.

use crate::{bindings, report, PROBES, TRACKER};

/// Has the promise withdrawn when the kernel goes down. A failure is not worth refusing to load.
pub(crate) fn watch() {
    // SAFETY: The function is static.
    let _ = unsafe { bindings::papr_reboot_watch(down) };
}

/// Ends [`watch`]. When this returns, nothing is withdrawn any more.
pub(crate) fn unwatch() {
    // SAFETY: The function may be called in any task.
    unsafe { bindings::papr_reboot_unwatch() };
}

unsafe extern "C" fn down() {
    // SAFETY: The probes exist from before `watch` until after `unwatch`.
    if let Some(probes) = unsafe { PROBES.get() } {
        probes.settle();
    }
    TRACKER.with(|tracker| tracker.withdraw_for_good());
    report::tell_all();
}
