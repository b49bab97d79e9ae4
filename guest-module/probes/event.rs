// SPDX-License-Identifier: GPL-2.0-only

//! Probe on the function that takes a hot plug event, and the event log around the event.

use super::{followed::current_task, handover};
use crate::{
    bindings,
    logic::{event_log, tracker::Follow},
    report,
    return_probe::{read, Call, Group, Observer},
    wire::{hotplug::HotplugRequest, token::Token},
    TRACKER,
};
use core::{
    ffi::CStr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The length of the header of a hot plug section. `queue_hotplug_event` is given what follows it.
const HEADER: usize = 8;

/// The address of the request in the last event that was seen. The kernel reads every event into
/// the same buffer.
static LAST_SECTION: AtomicUsize = AtomicUsize::new(0);

/// Returns the request at this address, if it is in an event log.
fn logged_at(address: usize) -> Option<(HotplugRequest, Token)> {
    event_log::request(&read(address.wrapping_sub(HEADER + event_log::BEFORE))?)
}

/// Returns the request in the event log, if it is where the last one was.
pub(super) fn logged() -> Option<(HotplugRequest, Token)> {
    logged_at(LAST_SECTION.load(Relaxed))
}

/// The kernel takes an event, in an interrupt, under a lock.
pub(super) struct Event;

impl Observer for Event {
    const SYMBOL: &'static CStr = c"queue_hotplug_event";
    const GROUP: Group = Group::Events;

    /// `void queue_hotplug_event(struct pseries_hp_errorlog *hp_errlog)`
    fn enter(call: &Call<'_>) -> Follow {
        handover::event_is_known();
        let address = call.argument(0);
        LAST_SECTION.store(address, Relaxed);
        let Some((request, token)) = logged_at(address) else {
            TRACKER.with(|tracker| tracker.distrust());
            return Follow::Nothing;
        };
        let follow = TRACKER.with(|tracker| tracker.event_begins(current_task(), &request, token));
        // SAFETY: The function only reads the context.
        if unsafe { bindings::papr_in_interrupt() } {
            // The end of the interrupt is seen. With `threadirqs`, the call is in a thread.
            return Follow::Nothing;
        }
        follow
    }

    fn leave(_returned: i32, _kept: usize) {
        TRACKER.with(|tracker| tracker.event_ends());
        report::tell();
    }
}
