// SPDX-License-Identifier: GPL-2.0-only

//! Removal that is followed, as probes on its steps see it.

use super::text;
use crate::{
    bindings,
    logic::{
        observations::ProbeSet,
        removal::{Removal, Task},
        tracker::Follow,
    },
    return_probe::{Call, Observer},
    TRACKER,
};
use core::{
    ffi::CStr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The task whose removal is followed, or 0. Probes look here first, without the lock: they run in
/// many tasks, and most of these are not followed. A task sees what it wrote here itself.
static FOLLOWED: AtomicUsize = AtomicUsize::new(0);

/// Handlers of a probe on a function that can be a step of the removal that is followed. `enter`
/// and `leave` run under the lock, so they neither take it nor call firmware.
pub(super) trait Step: 'static {
    /// The name of the function.
    const FUNCTION: &'static CStr;

    /// The name of the function in some kernels, if that is another one.
    const OTHER_FUNCTION: Option<&'static CStr> = None;

    /// Handles the entry of the function.
    fn enter(_removal: &mut Removal, _call: &Call<'_>) -> Follow {
        Follow::Return
    }

    /// Handles the return of a call that is to be followed.
    fn leave(removal: &mut Removal, returned: i32, probes: ProbeSet);

    /// Handles the entry of the function in a task that is not followed, without the lock.
    fn enter_elsewhere(_call: &Call<'_>) {}
}

impl<S: Step> Observer for S {
    const SYMBOL: &'static CStr = S::FUNCTION;
    const OTHER_SYMBOL: Option<&'static CStr> = S::OTHER_FUNCTION;

    fn enter(call: &Call<'_>) -> Follow {
        if !is_followed() {
            S::enter_elsewhere(call);
            return Follow::Nothing;
        }
        step_begins(S::FUNCTION, S::enter, call)
    }

    fn leave(returned: i32, _kept: usize) {
        step_ends(S::leave, returned);
    }
}

/// Handles the entry of a step, and stores the step if its return is to be seen. Not generic, so
/// that the module has it once and not for each probe.
#[inline(never)]
fn step_begins(
    function: &'static CStr,
    enter: fn(&mut Removal, &Call<'_>) -> Follow,
    call: &Call<'_>,
) -> Follow {
    let entered = followed(|removal, _| {
        let follow = enter(removal, call);
        if follow == Follow::Return {
            removal.step_begins(text(function));
        }
        follow
    });
    entered.unwrap_or(Follow::Nothing)
}

/// Handles the return of a step.
#[inline(never)]
fn step_ends(leave: fn(&mut Removal, i32, ProbeSet), returned: i32) {
    followed(|removal, probes| {
        leave(removal, returned, probes);
        removal.step_ends();
    });
}

/// Follows the removal that a task makes.
pub(super) fn follow(task: Task) {
    FOLLOWED.store(task.0, Relaxed);
}

/// Follows no removal.
pub(super) fn follow_none() {
    FOLLOWED.store(0, Relaxed);
}

/// Returns whether the current task makes the removal that is followed.
pub(super) fn is_followed() -> bool {
    FOLLOWED.load(Relaxed) == current_task().0
}

/// Calls a function with the removal that is followed, if the current task makes it.
pub(super) fn followed<R>(call: impl FnOnce(&mut Removal, ProbeSet) -> R) -> Option<R> {
    let task = current_task();
    if FOLLOWED.load(Relaxed) != task.0 {
        return None;
    }
    TRACKER.with(|tracker| {
        let probes = tracker.probes();
        tracker.removal_of(task).map(|removal| call(removal, probes))
    })
}

/// Calls a function with the removal that is followed, whichever task makes it.
pub(super) fn followed_anywhere(call: impl FnOnce(&mut Removal)) {
    if FOLLOWED.load(Relaxed) != 0 {
        TRACKER.with(|tracker| tracker.removal().map(call));
    }
}

/// Returns the current task.
pub(super) fn current_task() -> Task {
    // SAFETY: There is always a current task.
    Task(unsafe { bindings::papr_current() } as usize)
}
