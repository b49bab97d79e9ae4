// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saving, restoring, and what a VMM without this library migrates.

use crate::{
    error::Failure,
    incoming::Incoming,
    machine::{Absent, PaprUnplug, enter},
    pointer,
};
use papr_unplug::{foreign::Foreign, wire::drc::DrcIndex};
use std::ffi::c_int;

/// Saves everything that a later answer depends on; see papr_unplug_restore().
///
/// Returns how many bytes that takes, and writes them unless `room` is less. Effects that were not taken are not saved, so a VMM
/// takes all before it saves. Returns 0 if there is no machine that could be saved.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_save(machine: *mut PaprUnplug, bytes: *mut u8, room: usize) -> usize {
    // SAFETY: the contract at the top of the header.
    let saved = unsafe { enter(machine, |machine| machine.look().save()) }.unwrap_or_default();
    if saved.len() <= room {
        // SAFETY: the contract at the top of the header.
        unsafe { pointer::fill(bytes, room, &saved) };
    }
    saved.len()
}

/// Takes a saved state, for a machine to which the same connectors were added and the same devices attached. It is taken as a
/// whole, and replaces whatever the machine was before, also what papr_unplug_import() told.
///
/// Fails with PAPR_UNPLUG_ERROR_BAD_SAVE, UNKNOWN_VERSION, OTHER_MACHINE, REPORTS_NOT_TAKEN or TOO_MANY, and then nothing has
/// changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_restore(machine: *mut PaprUnplug, bytes: *const u8, length: usize) -> c_int {
    let restore = |machine: &mut PaprUnplug| {
        // SAFETY: the contract at the top of the header.
        let bytes = unsafe { pointer::bytes(bytes, length) };
        let result = machine.restore(bytes);
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, restore) }.unwrap_or_else(Absent::code)
}

/// Takes what a VMM without this library migrates about one connector (QEMU: `state` and `unplug_requested` of "spapr_drc"), for
/// a machine to which the same devices are attached.
///
/// It is called for each connector that the stream speaks of, in any order. All of them together take effect when any other
/// function is called. Then nothing is armed, and every device of which a connector was marked as asked for has one open
/// request, with a new name. Of connectors that the stream does not speak of, those of such a device are given back, because QEMU
/// says nothing about an LMB that it got back; all others are configured. A device that was asked for and whose connectors are
/// all given back exists nowhere: what is said about it is ignored.
///
/// Questions (papr_unplug_state, _pending, _open_requests, _armed, _has_more, _save, _section, _error, _next_effect) may come
/// in between; requests may then have other names after the last connector. Any other function, except
/// papr_unplug_restore(), says that the stream has ended: the next connector begins another.
///
/// A saved state says more than this. So papr_unplug_restore() makes void what came before it, and what comes after it until
/// the stream has ended.
///
/// Fails with PAPR_UNPLUG_ERROR_NO_SUCH_DEVICE, BAD_STATE or TOO_MANY (more devices are marked than requests may be open); what
/// is said about this connector is ignored then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_import(
    machine: *mut PaprUnplug,
    index: u32,
    state: u32,
    is_unplug_requested: bool,
) -> c_int {
    let foreign = Foreign { index: DrcIndex(index), state, unplug_requested: is_unplug_requested };
    let import = |machine: &mut PaprUnplug| {
        let (tracker, incoming, _) = machine.arrive();
        let result = incoming.mark(tracker, foreign).map(|()| 0).map_err(Failure::from);
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, import) }.unwrap_or_else(Absent::code)
}

/// Whether a VMM without this library would say of the connector that a removal of its device is pending (QEMU:
/// `unplug_requested`). With papr_unplug_state() it is what such a VMM can be sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_pending(machine: *mut PaprUnplug, index: u32) -> bool {
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, |machine| machine.look().is_unplug_requested(DrcIndex(index))) }.unwrap_or(false)
}

/// Whether there is anything to save that papr_unplug_state() and papr_unplug_pending() do not say of all connectors: something
/// is armed, or a removal is wanted. If not, the machine can migrate to a VMM without this library, and loses nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_has_more(machine: *mut PaprUnplug) -> bool {
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, |machine| !machine.look().is_plain()) }.unwrap_or(false)
}

impl PaprUnplug {
    fn restore(&mut self, bytes: &[u8]) -> Result<c_int, Failure> {
        let (tracker, incoming, effects) = self.arrive();
        tracker.restore(bytes, effects)?;
        *incoming = Incoming::Whole;
        Ok(0)
    }
}
