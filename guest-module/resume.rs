// SPDX-License-Identifier: GPL-2.0-only

//! Resumption of a suspended partition: the kernel reads what has changed in the device tree, which
//! may be that of another platform.

use crate::{bindings, firmware::Firmware, report, wire::offer::Offer, TRACKER};

/// Has the offer read again when it changes. A failure is not worth refusing to load.
pub(crate) fn watch() {
    // SAFETY: The name and the function are static.
    let _ = unsafe { bindings::papr_offer_watch(Offer::PROPERTY.as_ptr(), changed) };
}

/// Ends [`watch`]. When this returns, the offer is not read any more.
pub(crate) fn unwatch() {
    // SAFETY: The function may be called in any task, also if `watch` failed.
    unsafe { bindings::papr_offer_unwatch() };
}

unsafe extern "C" fn changed() {
    let mut property = [0; Offer::SIZE];
    let property = Firmware::offer(&mut property);
    TRACKER.with(|tracker| tracker.offer_changes(property));
    report::tell_all();
}
