// SPDX-License-Identifier: MIT OR Apache-2.0

//! Save and load of a machine, and the state of a VMM without this library.

use crate::{
    error::Failure,
    handle::{PaprUnplug, enter},
    pointer,
};
use papr_unplug::{event::RequestId, foreign::Foreign, wire::drc::DrcIndex};
use std::ffi::c_int;

/// Saves everything that a later answer depends on, the last outcomes, and which ids were given.
///
/// Returns the number of bytes, and writes them unless `room` is less. Effects that were not taken are not saved: a VMM
/// takes all before it saves. Returns 0 for a machine that cannot be saved.
///
/// # Safety
/// `machine` and `bytes` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_save(machine: *mut PaprUnplug, bytes: *mut u8, room: usize) -> usize {
    // SAFETY: by this function's contract.
    let saved = unsafe { enter(machine, |machine| machine.tracker.save()) }.unwrap_or_default();
    if saved.len() <= room {
        // SAFETY: by this function's contract.
        unsafe { pointer::fill(bytes, room, &saved) };
    }
    saved.len()
}

/// Returns the length of the longest saved state that papr_unplug_restore() takes on this machine. A VMM checks the
/// length that a stream announces against it before it allocates memory for the stream.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_max_save(machine: *mut PaprUnplug) -> usize {
    // SAFETY: by this function's contract.
    unsafe { enter(machine, |machine| machine.tracker.max_saved_len()) }.unwrap_or(0)
}

/// Begins a load: an incoming migration, or a snapshot. Drops what an earlier load has collected that did not end.
///
/// Then come papr_unplug_import() and papr_unplug_restore(), which only collect, and papr_unplug_load_end(). Other
/// calls in between act on the machine as it was before the load. If a load fails and never ends, the machine stays as
/// it was before.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_load_begin(machine: *mut PaprUnplug) {
    // SAFETY: by this function's contract.
    let _ = unsafe { enter(machine, |machine| machine.incoming.begin()) };
}

/// Collects a saved state, for a machine to which the same connectors were added and the same devices attached as the
/// saved one had. What papr_unplug_import() collects, before or after, is ignored. Begins a load if none has begun.
///
/// Fails with PAPR_UNPLUG_ERROR_BAD_SAVE, UNKNOWN_VERSION, OTHER_MACHINE, REPORTS_NOT_TAKEN or TOO_MANY if the machine
/// cannot take the state; the load then goes on without it.
///
/// # Safety
/// `machine` and `bytes` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_restore(machine: *mut PaprUnplug, bytes: *const u8, length: usize) -> c_int {
    let restore = |machine: &mut PaprUnplug| {
        // SAFETY: by this function's contract.
        let bytes = unsafe { pointer::values(bytes, length) };
        let result = machine.incoming.save(&machine.tracker, bytes);
        machine.answer(result.map(|()| 0).map_err(Failure::from))
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, restore) }.unwrap_or_else(|absent| absent.code())
}

/// Collects what a VMM without this library migrates about one connector (QEMU: `state` and `unplug_requested` of
/// "spapr_drc"), for a machine to which the same devices are attached. Connectors come in any order; a later call
/// replaces an earlier one about the same connector. Begins a load if none has begun.
///
/// When the load ends, nothing is armed, and every device of which a connector was marked as asked for has one open
/// request, with a new id. Of the connectors that were not imported, those of such a device are given back, because
/// QEMU migrates nothing about an LMB that it got back; all others are configured. A device that was asked for and
/// whose connectors are all given back existed nowhere: what was imported about it is ignored.
///
/// Fails with PAPR_UNPLUG_ERROR_NO_SUCH_DEVICE, BAD_STATE or TOO_MANY (more devices are marked than requests may be
/// open); what was imported about this connector is ignored then.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_import(
    machine: *mut PaprUnplug,
    index: u32,
    state: u32,
    is_unplug_requested: bool,
) -> c_int {
    let foreign = Foreign { index: DrcIndex(index), state, unplug_requested: is_unplug_requested };
    let import = |machine: &mut PaprUnplug| {
        let result = machine.incoming.mark(&machine.tracker, foreign);
        machine.answer(result.map(|()| 0).map_err(Failure::from))
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, import) }.unwrap_or_else(|absent| absent.code())
}

/// Ends a load: what was collected replaces the state of the machine. If nothing was collected, every device is
/// configured and no removal is wanted. No device is deleted and nothing is sent to the guest; hot plug events that the
/// guest has not fetched are void unless they were loaded too.
///
/// Requests that were open before and are not open in the loaded state end as PAPR_UNPLUG_END_LOAD. A loaded request
/// keeps its id, unless this machine used the id for another request, or for one that has ended: then it gets a new
/// one, see papr_unplug_renumbered().
///
/// Returns 0, also if no load has begun. Fails as papr_unplug_restore() does if devices were attached or detached
/// since; the load has ended then, and the machine is as it was before.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_load_end(machine: *mut PaprUnplug) -> c_int {
    let end = |machine: &mut PaprUnplug| {
        let result = machine.incoming.end(&mut machine.tracker, &mut machine.effects);
        machine.answer(result.map(|()| 0).map_err(Failure::from))
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, end) }.unwrap_or_else(|absent| absent.code())
}

/// Returns the id that a request of the state that was loaded last has now. A VMM that saves ids itself, with the hot
/// plug events that the guest has not fetched, replaces each of them after papr_unplug_load_end(). An id that was kept,
/// or that is not known, is returned as it is.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_renumbered(machine: *mut PaprUnplug, saved: u64) -> u64 {
    // SAFETY: by this function's contract.
    unsafe { enter(machine, |machine| machine.tracker.renumbered(RequestId(saved)).0) }.unwrap_or(saved)
}

/// Returns whether a VMM without this library would mark the removal of the connector's device as pending (QEMU:
/// `unplug_requested`). With papr_unplug_state() that is what such a VMM can be sent.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_pending(machine: *mut PaprUnplug, index: u32) -> bool {
    // SAFETY: by this function's contract.
    unsafe { enter(machine, |machine| machine.tracker.is_unplug_requested(DrcIndex(index))) }.unwrap_or(false)
}

/// Returns whether a saved state has anything to add to papr_unplug_state() and papr_unplug_pending() of all
/// connectors: something is armed, a removal is wanted, or an id was given that must not be given again. If not, the
/// machine can migrate to a VMM without this library, and loses nothing. Ids do not count once papr_unplug_set_offer()
/// has withdrawn the offer.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_has_more(machine: *mut PaprUnplug) -> bool {
    // SAFETY: by this function's contract.
    unsafe { enter(machine, |machine| !machine.tracker.is_plain()) }.unwrap_or(false)
}
