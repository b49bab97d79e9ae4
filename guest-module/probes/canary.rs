// SPDX-License-Identifier: GPL-2.0-only

//! Canary: a probe on a function of the module, which shows whether probes fire.
//!
//! Probes can be switched off while they are registered: `sysctl kernel.ftrace_enabled=0`,
//! `/sys/kernel/debug/kprobes/enabled`, or ftrace after an error. The kernel counts no call as
//! missed then.

use crate::{
    bindings,
    logic::tracker::Follow,
    return_probe::{Call, Group, Observer},
};
use core::{
    ffi::CStr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The number of times that the function returned under its probe.
static FIRED: AtomicU32 = AtomicU32::new(0);

/// The probe.
pub(super) struct Canary;

impl Observer for Canary {
    const SYMBOL: &'static CStr = c"papr_canary";
    const GROUP: Group = Group::Canary;

    fn enter(_call: &Call<'_>) -> Follow {
        Follow::Return
    }

    fn leave(_returned: i32, _kept: usize) {
        FIRED.fetch_add(1, Relaxed);
    }
}

/// Returns whether all probes fire, as the canary shows once nobody is switching them: they are
/// switched one after the other. Sleeps.
pub(crate) fn all_probes_fire() -> bool {
    // SAFETY: The function may be called in any task that may sleep.
    unsafe { bindings::papr_probes_settle() };
    probes_fire()
}

/// Calls the function, and returns whether its probe fired. In the handler of another probe it may
/// not, and then the kernel counts the call as missed. Not under the module's lock.
#[inline(never)]
pub(crate) fn probes_fire() -> bool {
    let seen = || (FIRED.load(Relaxed), Group::Canary.missed());
    let before = seen();
    // SAFETY: The function does nothing.
    unsafe { bindings::papr_call_canary() };
    before != seen()
}
