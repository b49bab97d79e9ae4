// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons of refusals, as text.

use crate::handle::shielded;
use papr_unplug::{
    explanation::{Explanation, Persistence},
    wire::reason::Reason,
};
use std::{
    ffi::{CString, c_char},
    ptr,
    sync::LazyLock,
};

/// Persistence of a reason, for programs that decide whether to request the removal again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugPersistence {
    /// The reason alone does not say, or this library does not know it.
    Unknown = 0,
    /// Another request later can succeed, without anything else.
    Transient = 1,
    /// Another request can succeed only after somebody has followed the advice.
    NeedsAction = 2,
    /// No request succeeds until the guest boots again.
    Permanent = 3,
}

/// Texts of one reason, for C.
struct Words {
    reason: Reason,
    name: CString,
    meaning: CString,
    advice: CString,
}

/// Texts of all reasons, made when the first is used.
static WORDS: LazyLock<Vec<Words>> = LazyLock::new(|| Reason::ALL.iter().filter_map(|reason| words(*reason)).collect());

fn words(reason: Reason) -> Option<Words> {
    let Explanation { meaning, advice, .. } = Explanation::of(reason)?;
    let text = |text: &str| CString::new(text).ok();
    Some(Words { reason, name: text(reason.name()?)?, meaning: text(meaning)?, advice: text(advice)? })
}

fn find(reason: u32, text: fn(&Words) -> &CString) -> *const c_char {
    shielded(ptr::null(), || {
        let words = WORDS.iter().find(|words| u32::from(words.reason.0) == reason);
        words.map_or(ptr::null(), |words| text(words).as_ptr())
    })
}

/// Returns the name of a reason, for programs, such as "last-cpu"; NULL for a reason that this library does not know.
/// Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_reason_name(reason: u32) -> *const c_char {
    find(reason, |words| &words.name)
}

/// Returns the meaning of a reason, in sentences; NULL for a reason that this library does not know. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_reason_meaning(reason: u32) -> *const c_char {
    find(reason, |words| &words.meaning)
}

/// Returns an advice about a reason, in sentences; NULL for a reason that this library does not know. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_reason_advice(reason: u32) -> *const c_char {
    find(reason, |words| &words.advice)
}

/// Returns how long a reason lasts, a PaprUnplugPersistence.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_reason_persistence(reason: u32) -> u32 {
    let reason = u8::try_from(reason).ok().map(Reason);
    let persistence = match reason.and_then(Explanation::of).map(|explanation| explanation.persistence) {
        Some(Persistence::Transient) => PaprUnplugPersistence::Transient,
        Some(Persistence::NeedsAction) => PaprUnplugPersistence::NeedsAction,
        Some(Persistence::Permanent) => PaprUnplugPersistence::Permanent,
        _ => PaprUnplugPersistence::Unknown,
    };
    persistence as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn every_reason_has_words_and_no_other() {
        let named = (0..=0x100).filter(|reason| !papr_unplug_reason_name(*reason).is_null());
        assert!(named.eq(Reason::ALL.iter().map(|reason| u32::from(reason.0))));
        assert!(papr_unplug_reason_meaning(30).is_null());
        assert!(papr_unplug_reason_advice(u32::MAX).is_null());
    }

    #[test]
    fn persistence_of_a_reason_is_that_of_the_protocol() {
        let named = [(6, 1), (1, 2), (9, 3), (0, 0), (30, 0), (0x106, 0), (u32::MAX, 0)];
        assert_eq!(named.map(|(reason, _)| papr_unplug_reason_persistence(reason)), named.map(|(_, lasts)| lasts));
    }

    #[test]
    fn words_of_a_reason_are_its_own_and_stay_where_they_are() {
        let name = papr_unplug_reason_name(6);
        // SAFETY: it is the text of a known reason.
        assert_eq!(unsafe { CStr::from_ptr(name) }, c"unmovable-page");
        assert_eq!(papr_unplug_reason_name(6), name);
    }
}
