// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a removal that decide what it comes to.

use super::current_task;
use crate::{
    logic::{clues::LmbFlags, watch::Follow},
    probe::{Call, Observer},
    shim,
    wire::drc::DrcIndex,
    WATCH,
};
use core::ffi::CStr;

/// One LMB that is taken offline and removed.
pub(super) struct Lmb;

impl Observer for Lmb {
    const SYMBOL: &'static CStr = c"dlpar_remove_lmb";

    /// `static int dlpar_remove_lmb(struct drmem_lmb *lmb)`
    fn enter(call: &Call<'_>) -> Follow {
        let Some(attempt) = WATCH.followed(current_task()) else { return Follow::Nothing };
        // SAFETY: It only returns a constant.
        let flags = call.read(call.argument(0).wrapping_add(unsafe { shim::papr_drmem_lmb_flags() }));
        match (lmb_index(call), flags) {
            (Some(index), Some(flags)) => attempt.lmb_begins(index, LmbFlags(u32::from_ne_bytes(flags))),
            _ => return Follow::Nothing,
        }
        Follow::Return
    }

    fn leave(returned: i32) {
        if let Some(attempt) = WATCH.followed(current_task()) {
            attempt.lmb_ends(returned, WATCH.senses());
        }
    }
}

/// The connector of the `struct drmem_lmb` that is the first argument.
pub(super) fn lmb_index(call: &Call<'_>) -> Option<DrcIndex> {
    // SAFETY: It only returns a constant.
    let offset = unsafe { shim::papr_drmem_lmb_drc_index() };
    call.read(call.argument(0).wrapping_add(offset)).map(|index| DrcIndex(u32::from_ne_bytes(index)))
}

/// One connector that is given back.
pub(super) struct Release;

impl Observer for Release {
    const SYMBOL: &'static CStr = c"dlpar_release_drc";

    /// `int dlpar_release_drc(u32 drc_index)`
    fn enter(call: &Call<'_>) -> Follow {
        let Some(attempt) = WATCH.followed(current_task()) else { return Follow::Nothing };
        // CAST: A `u32` is passed in the low half of the register.
        attempt.release_begins(DrcIndex(call.argument(0) as u32));
        Follow::Return
    }

    fn leave(returned: i32) {
        if let Some(attempt) = WATCH.followed(current_task()) {
            attempt.release_ends(returned);
        }
    }
}

/// The signal that the kernel sends by itself for some refusals, since 5.13.
pub(super) struct Unisolate;

impl Observer for Unisolate {
    const SYMBOL: &'static CStr = c"dlpar_unisolate_drc";

    /// `int dlpar_unisolate_drc(u32 drc_index)`
    fn enter(_call: &Call<'_>) -> Follow {
        Follow::if_true(WATCH.followed(current_task()).is_some())
    }

    fn leave(returned: i32) {
        if let Some(attempt) = WATCH.followed(current_task()) {
            attempt.unisolate_ends(returned);
        }
    }
}
