// SPDX-License-Identifier: GPL-2.0-only

//! Probes on the steps of a removal that decide its outcome.

use super::{
    followed::{followed, Step},
    name,
};
use crate::{
    bindings,
    firmware::Firmware,
    logic::{
        counters::count,
        lmb_table::LmbTable,
        observations::{LmbFlags, ProbeSet},
        removal::Removal,
        rtas,
        tracker::Follow,
    },
    return_probe::{read, Call, Observer},
    wire::drc::DrcIndex,
    TRACKER,
};
use core::{ffi::CStr, slice};

/// Taking one LMB offline and removing it.
pub(super) struct Lmb;

impl Step for Lmb {
    const FUNCTION: &'static CStr = c"dlpar_remove_lmb";

    /// `static int dlpar_remove_lmb(struct drmem_lmb *lmb)`
    fn enter(removal: &mut Removal, call: &Call<'_>) -> Follow {
        // SAFETY: The function only returns a constant.
        let offset = unsafe { bindings::papr_drmem_lmb_flags() };
        let flags = read(call.argument(0).wrapping_add(offset)).map(u32::from_ne_bytes);
        let (Some(lmb), Some(flags)) = (lmb_index(call), flags) else { return Follow::Nothing };
        removal.lmb_begins(lmb, LmbFlags(flags));
        Follow::Return
    }

    fn leave(removal: &mut Removal, returned: i32, probes: ProbeSet) {
        removal.lmb_ends(returned, probes);
    }
}

/// Returns the connector of the `struct drmem_lmb` that is the first argument.
pub(super) fn lmb_index(call: &Call<'_>) -> Option<DrcIndex> {
    // SAFETY: The function only returns a constant.
    let offset = unsafe { bindings::papr_drmem_lmb_drc_index() };
    read(call.argument(0).wrapping_add(offset)).map(|index| DrcIndex(u32::from_ne_bytes(index)))
}

/// Giving one connector back.
pub(super) struct Release;

impl Step for Release {
    const FUNCTION: &'static CStr = c"dlpar_release_drc";

    /// `int dlpar_release_drc(u32 drc_index)`
    fn enter(removal: &mut Removal, call: &Call<'_>) -> Follow {
        // CAST: A `u32` is passed in the low half of the register.
        removal.release_begins(DrcIndex(call.argument(0) as u32));
        Follow::Return
    }

    fn leave(removal: &mut Removal, returned: i32, _probes: ProbeSet) {
        removal.release_ends(returned);
    }
}

/// The hint that the kernel sends for some refusals, since 5.13.
pub(super) struct Unisolate;

impl Step for Unisolate {
    /// `int dlpar_unisolate_drc(u32 drc_index)`
    const FUNCTION: &'static CStr = c"dlpar_unisolate_drc";

    fn leave(removal: &mut Removal, returned: i32, _probes: ProbeSet) {
        removal.unisolate_ends(returned);
    }
}

/// The last step of a removal of memory that succeeds: the kernel writes its table of LMBs to the
/// device tree, under its lock around hotplug.
///
/// LMBs that the kernel lost before, in an addition that failed or in a removal that could not be
/// undone, it has skipped. They are given back here, where no other task can be adding them. This
/// is no [`Step`], because firmware is called at its return.
pub(super) struct TableWritten;

impl Observer for TableWritten {
    const SYMBOL: &'static CStr = c"drmem_update_dt";

    /// `int drmem_update_dt(void)`
    fn enter(_call: &Call<'_>) -> Follow {
        let skipped = followed(|removal, _| {
            removal.untried()?;
            removal.step_begins(name::<Self>());
            Some(())
        });
        Follow::if_true(skipped.flatten().is_some())
    }

    fn leave(returned: i32, _kept: usize) {
        if returned == 0 {
            give_back_untried();
        }
        followed(|removal, _| removal.step_ends());
    }
}

/// Gives back those LMBs of the removal that is followed that firmware calls the guest's and the
/// kernel does not hold.
fn give_back_untried() {
    let Some(untried) = followed(|removal, _| removal.untried()).flatten() else { return };
    let (mut size, mut sequences) = (0, false);
    // SAFETY: There is room for both answers.
    let table = unsafe { bindings::papr_lmb_table(&mut size, &mut sequences) };
    if table.is_null() {
        return;
    }
    // SAFETY: The table has this size, and its memory is not changed.
    let table = LmbTable::new(unsafe { slice::from_raw_parts(table, size) }, sequences);
    for connector in untried.map(DrcIndex) {
        if table.has_unassigned(connector) && rtas::give_back(&Firmware, connector) {
            TRACKER.with(|tracker| count(&mut tracker.counters.recovered));
        }
    }
}
