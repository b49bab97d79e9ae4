// SPDX-License-Identifier: GPL-2.0-only

//! A whole request, from its beginning to its end.

use super::{current_task, missed, wake_if_unsettled};
use crate::{
    firmware::Firmware,
    logic::{
        attempt::Ending,
        watch::{Follow, Origin},
    },
    probe::{Call, Observer},
    shim,
    wire::hotplug::HotplugRequest,
    WATCH,
};
use core::{
    ffi::CStr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// [`steps_missed`] when the request that is followed began.
static MISSED_BEFORE: AtomicU64 = AtomicU64::new(0);

/// From the hypervisor or from the guest's administrator.
pub(super) struct Request;

impl Observer for Request {
    const SYMBOL: &'static CStr = c"handle_dlpar_errorlog";

    /// `int handle_dlpar_errorlog(struct pseries_hp_errorlog *hp_elog)`
    fn enter(call: &Call<'_>) -> Follow {
        let Some(asked) = call.read(call.argument(0)) else { return Follow::Nothing };
        let follow = begins(origin(), &HotplugRequest::from(asked), call.missed());
        wake_if_unsettled();
        follow
    }

    fn leave(returned: i32) {
        ends(returned);
        wake_if_unsettled();
    }
}

/// The kernel begins with a request; so many calls of the function that is probed for that went by unseen before.
pub(super) fn begins(origin: Origin, asked: &HotplugRequest, missed_before: u64) -> Follow {
    let follow = WATCH.request_begins(current_task(), origin, asked, missed_before, &Firmware);
    if follow == Follow::Return {
        MISSED_BEFORE.store(steps_missed(), Relaxed);
    }
    follow
}

/// It has ended it, with 0 or a negative errno.
pub(super) fn ends(returned: i32) {
    let blind = steps_missed() != MISSED_BEFORE.load(Relaxed);
    WATCH.request_ends(current_task(), &Ending { returned, last_online: is_last_cpu(), blind }, &Firmware);
}

/// How many calls have gone by unseen that can be a part of a removal. Events come while one is followed, and are no part of it.
fn steps_missed() -> u64 {
    missed().wrapping_sub(WATCH.counters.missed_events.get())
}

fn origin() -> Origin {
    // SAFETY: There is always a current task.
    if unsafe { shim::papr_current_is_worker() } {
        Origin::Hypervisor
    } else {
        Origin::Guest
    }
}

/// Whether only one CPU is online.
pub(super) fn is_last_cpu() -> bool {
    // SAFETY: It only looks at the kernel's count of CPUs.
    unsafe { shim::papr_is_last_cpu() }
}
