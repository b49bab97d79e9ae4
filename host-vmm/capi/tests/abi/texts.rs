// SPDX-License-Identifier: MIT OR Apache-2.0

//! Texts for people.

use crate::machine::{explain, explain_into};
use papr_unplug_capi::{
    PaprUnplugEffect, papr_unplug_offer_property, papr_unplug_reason_advice, papr_unplug_reason_meaning,
    papr_unplug_version,
};
use std::ffi::CStr;

const REFUSED: PaprUnplugEffect = PaprUnplugEffect {
    kind: 1,
    resource: 1,
    first: 0x1000_0001,
    count: 1,
    request: 7,
    end: 2,
    connector: 0x1000_0001,
    reason: 1,
    guest_errno: 16,
    evidence: 1,
    by: 0,
    requests: 0,
    reserved: 0,
};

#[test]
fn effect_is_explained_as_the_header_shows() {
    let text = explain(&REFUSED);
    let header = include_str!("../../include/papr_unplug.h").replace("\n * ", " ");
    let (shown, _) = header.split_once("\"request 7").unwrap().1.split_once(" ...\"").unwrap();
    assert!(text.starts_with(&format!("request 7{shown}")), "{text}");
}

#[test]
fn text_is_cut_to_the_room_there_is() {
    let whole = explain(&REFUSED);
    let cut = |room| {
        let (length, text) = explain_into(&REFUSED, room);
        assert_eq!(length, whole.len());
        text
    };
    assert_eq!(cut(1), [0]);
    assert_eq!(cut(8), *b"request\0");
    assert_eq!(cut(whole.len()), [&whole.as_bytes()[..whole.len() - 1], b"\0"].concat());
}

#[test]
fn effect_that_no_machine_told_has_no_words() {
    let nonsense = [
        PaprUnplugEffect { kind: 3, ..REFUSED },
        PaprUnplugEffect { resource: 256, ..REFUSED },
        PaprUnplugEffect { count: 0, ..REFUSED },
        PaprUnplugEffect { end: 8, ..REFUSED },
        PaprUnplugEffect { kind: 2, by: 4, ..REFUSED },
        PaprUnplugEffect { reason: 256, ..REFUSED },
        PaprUnplugEffect { guest_errno: 256, ..REFUSED },
        PaprUnplugEffect { evidence: 0, ..REFUSED },
        PaprUnplugEffect::default(),
    ];
    assert_eq!(nonsense.map(|effect| explain(&effect)), [const { String::new() }; 9]);
}

#[test]
fn texts_of_the_library_are_texts() {
    // SAFETY: all are texts that are never freed.
    let read = |text| unsafe { CStr::from_ptr(text) }.to_str().unwrap();
    assert_eq!(read(papr_unplug_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(read(papr_unplug_offer_property()), "papr-unplug,unplug-status");
    assert_eq!(read(papr_unplug_reason_meaning(1)), "It is the last online CPU of the guest.");
    assert!(read(papr_unplug_reason_advice(1)).contains("choose another CPU"));
}
