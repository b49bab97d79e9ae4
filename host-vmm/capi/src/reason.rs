// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons of refusals, as text.

use crate::handle::shielded;
use papr_unplug::{explanation::Explanation, wire::reason::Reason};
use std::{
    ffi::{CString, c_char},
    ptr,
    sync::LazyLock,
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn every_reason_has_words_and_no_other() {
        let named = (0..=0x100).filter(|reason| !papr_unplug_reason_name(*reason).is_null());
        assert!(named.eq(Reason::ALL.iter().map(|reason| u32::from(reason.0))));
        assert!(papr_unplug_reason_meaning(28).is_null());
        assert!(papr_unplug_reason_advice(u32::MAX).is_null());
    }

    #[test]
    fn words_of_a_reason_are_its_own_and_stay_where_they_are() {
        let name = papr_unplug_reason_name(6);
        // SAFETY: it is the text of a known reason.
        assert_eq!(unsafe { CStr::from_ptr(name) }, c"unmovable-page");
        assert_eq!(papr_unplug_reason_name(6), name);
    }
}
