// SPDX-License-Identifier: MIT OR Apache-2.0

//! Polling of effects, and of outcomes of the past.

use crate::{
    effect::PaprUnplugEffect,
    handle::{PaprUnplug, enter, shielded},
    pointer,
};
use std::ffi::c_char;

/// Returns whether there is an effect to take. A VMM asks after each call in the context of a virtual CPU, and lets its
/// main loop take the effects.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_has_effect(machine: *mut PaprUnplug) -> bool {
    // SAFETY: by this function's contract.
    unsafe { enter(machine, |machine| !machine.effects.is_empty()) }.unwrap_or(false)
}

/// Takes the next effect, in the order in which the VMM has to act on them: outcomes of a device before its deletion.
/// Returns false if there is none.
///
/// Any call but a question may cause effects. While the VMM acts on an effect, it may call any function. The VMM must
/// not act on PAPR_UNPLUG_EFFECT_KIND_DELETE in the context of a virtual CPU.
///
/// # Safety
/// `machine` and `effect` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_next_effect(
    machine: *mut PaprUnplug,
    effect: *mut PaprUnplugEffect,
    size: usize,
) -> bool {
    // SAFETY: by this function's contract.
    let next = unsafe { enter(machine, |machine| machine.effects.next()) };
    let Ok(Some(next)) = next else { return false };
    // SAFETY: by this function's contract.
    unsafe { pointer::tell_sized(effect, size, &next) };
    true
}

/// Lists the outcomes of the last 64 requests that ended, oldest first. Writes no more than `room` of them, as effects
/// of `size` bytes each. Returns their number.
///
/// # Safety
/// `machine` and `outcomes` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_outcomes(
    machine: *mut PaprUnplug,
    outcomes: *mut PaprUnplugEffect,
    size: usize,
    room: usize,
) -> usize {
    let list = |machine: &mut PaprUnplug| machine.tracker.outcomes().map(|one| (*one).into()).collect::<Vec<_>>();
    // SAFETY: by this function's contract.
    let kept = unsafe { enter(machine, list) }.unwrap_or_default();
    // SAFETY: by this function's contract.
    unsafe { pointer::fill_sized(outcomes, size, room, &kept) };
    kept.len()
}

/// Writes an effect as text that a person can act on, such as "request 7 to remove cpu 0x10000001: the guest refused at
/// connector 0x10000001: last-cpu (errno 16). It is the last ...".
///
/// Like snprintf(): writes no more than `room` bytes with the NUL at their end, and returns the length of the whole
/// text, in UTF-8 and without the NUL. Returns 0 for an effect that no machine tells. `size` is that of the effect.
///
/// # Safety
/// `effect` and `text` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_explain(
    effect: *const PaprUnplugEffect,
    size: usize,
    text: *mut c_char,
    room: usize,
) -> usize {
    // SAFETY: by this function's contract.
    let effect = unsafe { pointer::read_sized(effect, size) };
    let words = shielded(None, || effect?.explained()).unwrap_or_default();
    if let Some(most) = room.checked_sub(1) {
        let end = (0..=most.min(words.len())).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
        let written: Vec<u8> = words.bytes().take(end).chain([0]).collect();
        // SAFETY: by this function's contract.
        unsafe { pointer::fill(text.cast(), room, &written) };
    }
    words.len()
}
