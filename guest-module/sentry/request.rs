// SPDX-License-Identifier: GPL-2.0-only

//! A whole request, from its beginning to its end.

use super::{current_task, missed, wake_if_unsettled};
use crate::{
    firmware::Firmware,
    logic::{
        clues::CpusLeft,
        watch::{Ending, Follow, Origin},
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

/// How many calls had gone by unseen when the request that is followed began.
static MISSED_BEFORE: AtomicU64 = AtomicU64::new(0);

/// From the hypervisor or from the guest's administrator.
pub(super) struct Request;

impl Observer for Request {
    const SYMBOL: &'static CStr = c"handle_dlpar_errorlog";

    /// `int handle_dlpar_errorlog(struct pseries_hp_errorlog *hp_elog)`
    fn enter(call: &Call<'_>) -> Follow {
        let copy = call.argument(0);
        let Some(asked) = call.read(copy) else { return Follow::Nothing };
        let follow = begins(origin(), copy, &HotplugRequest::from(asked), call.missed());
        wake_if_unsettled();
        follow
    }

    fn leave(returned: i32) {
        ends(returned);
        wake_if_unsettled();
    }
}

/// The kernel begins with a request, whose copy stands at this address; so many calls of the function that is probed for
/// that went by unseen before.
pub(super) fn begins(origin: Origin, copy: usize, asked: &HotplugRequest, missed_before: u64) -> Follow {
    let follow = WATCH.request_begins(current_task(), origin, copy, asked, missed_before, &Firmware);
    if follow == Follow::Return {
        MISSED_BEFORE.store(missed(), Relaxed);
    }
    follow
}

/// It has ended it, with 0 or a negative errno.
pub(super) fn ends(returned: i32) {
    let blind = missed() != MISSED_BEFORE.load(Relaxed);
    WATCH.request_ends(current_task(), Ending { returned, left: cpus_left(), blind }, &Firmware);
}

fn origin() -> Origin {
    // SAFETY: There is always a current task.
    if unsafe { shim::papr_current_is_worker() } {
        Origin::Hypervisor
    } else {
        Origin::Guest
    }
}

/// How many CPUs are left.
pub(super) fn cpus_left() -> CpusLeft {
    // SAFETY: It only looks at the kernel's count of CPUs.
    CpusLeft { last_online: unsafe { shim::papr_is_last_cpu() }, ..CpusLeft::default() }
}
