// SPDX-License-Identifier: MIT OR Apache-2.0

//! A VMM in C, which keeps to the contract of the header and to nothing else.
//!
//! Every buffer is an allocation of its exact size, so that AddressSanitizer sees a byte too many.

// UNSAFETY: these are calls into C's side of the library.
#![expect(unsafe_code, reason = "the C ABI takes pointers")]

use crate::many::Many;
use arbitrary::Arbitrary;
use papr_unplug_capi::{
    PaprUnplug, PaprUnplugEffect, PaprUnplugEffectKind, PaprUnplugOffer, PaprUnplugRequest, papr_unplug_add,
    papr_unplug_armed, papr_unplug_attach, papr_unplug_configure, papr_unplug_configured, papr_unplug_detach,
    papr_unplug_error, papr_unplug_explain, papr_unplug_free, papr_unplug_get_sensor_state, papr_unplug_has_more,
    papr_unplug_import, papr_unplug_new, papr_unplug_next_effect, papr_unplug_open_requests, papr_unplug_pending,
    papr_unplug_reason_advice, papr_unplug_reason_meaning, papr_unplug_reason_name, papr_unplug_remove,
    papr_unplug_request, papr_unplug_reset, papr_unplug_restore, papr_unplug_save, papr_unplug_section,
    papr_unplug_set_indicator, papr_unplug_set_offer, papr_unplug_state,
};
use std::{
    collections::BTreeSet,
    ffi::{CStr, c_char},
    ptr,
};

/// One call. A [`Place`] is a connector; `room` is how much the caller has for what is written.
#[derive(Arbitrary, Debug)]
pub enum Call {
    Add(u32, Place, u8),
    Remove(Place, u8),
    Attach(Place, u8, bool),
    Detach(Place),
    Request(Place, bool),
    SetIndicator(Indicator, Place, u32),
    Sense(u32, Place, bool),
    Configure(Place, bool),
    Configured(Place),
    Reset,
    Offer(Option<[u32; 3]>),
    Save { room: Option<u16> },
    Restore(Bytes),
    Import(Place, u32, bool),
    Ask(Place),
    List { room: u8 },
    Section { back: u8, room: u8 },
    Explain { effect: [u32; 9], request: u64, room: u8 },
    Reason(u32),
    Armed(bool, bool),
}

/// What is restored: noise, or what this machine has saved, with some bytes written over.
#[derive(Arbitrary, Debug)]
pub enum Bytes {
    Noise(Vec<u8>),
    Saved(Vec<(u16, u8)>),
    None,
}

/// An indicator that means something, or any other.
#[derive(Arbitrary, Debug)]
pub enum Indicator {
    Isolation,
    Allocation,
    Report,
    Other(u32),
}

/// A DRC index near those that machines have, or any other.
#[derive(Arbitrary, Debug)]
pub enum Place {
    Cpu(u8),
    Lmb(u8),
    Function(u8),
    Other(u32),
}

/// What a VMM does in its life.
#[derive(Arbitrary, Debug)]
pub struct Life {
    pub offers: bool,
    pub max_open: u8,
    pub calls: Many<Call>,
}

impl Place {
    fn index(&self) -> u32 {
        match *self {
            Self::Cpu(low) => 0x1000_0000 | u32::from(low & 3),
            Self::Lmb(low) => 0x8000_0000 | u32::from(low & 15),
            Self::Function(low) => 0x4000_0000 | u32::from(low & 3),
            Self::Other(index) => index,
        }
    }
}

/// A machine, and the requests that have no outcome yet.
struct Machine {
    handle: *mut PaprUnplug,
    open: BTreeSet<u64>,
    last: u64,
}

/// Lives it.
pub fn live(life: Life) {
    let offer = PaprUnplugOffer { indicator: 9100, classes: 0x7E, features: 3 };
    let offer = if life.offers { &raw const offer } else { ptr::null() };
    // SAFETY: the offer is NULL or lives until the call returns.
    let handle = unsafe { papr_unplug_new(offer, life.max_open.into()) };
    assert!(!handle.is_null());
    let mut machine = Machine { handle, open: BTreeSet::new(), last: 0 };
    // Most lives begin with these devices.
    for (resource, first, count) in [(1, 0x1000_0001, 1), (2, 0x8000_0004, 3), (5, 0x4000_0001, 1)] {
        // SAFETY: the handle is that of a machine.
        unsafe { papr_unplug_add(handle, resource, first, count) };
        // SAFETY: the handle is that of a machine.
        unsafe { papr_unplug_attach(handle, first, count, true) };
    }
    for call in &life.calls.0 {
        machine.call(call);
        machine.look();
    }
    // SAFETY: the handle is that of a machine, and is not used any more.
    unsafe { papr_unplug_free(handle) };
}

impl Machine {
    fn call(&mut self, call: &Call) {
        let machine = self.handle;
        match call {
            // SAFETY: the handle is that of a machine, here and below.
            Call::Add(resource, place, count) => unsafe {
                self.result(papr_unplug_add(machine, *resource, place.index(), (count & 7).into()));
            },
            // SAFETY: as above.
            Call::Remove(place, count) => unsafe {
                self.result(papr_unplug_remove(machine, place.index(), (count & 7).into()));
            },
            // SAFETY: as above.
            Call::Attach(place, count, ready) => unsafe {
                self.result(papr_unplug_attach(machine, place.index(), (count & 7).into(), *ready));
            },
            // SAFETY: as above.
            Call::Detach(place) => self.result(unsafe { papr_unplug_detach(machine, place.index()) }),
            Call::Request(place, is_wanted) => self.request(place.index(), *is_wanted),
            Call::SetIndicator(indicator, place, value) => {
                let indicator = match indicator {
                    Indicator::Isolation => 9001,
                    Indicator::Allocation => 9003,
                    Indicator::Report => 9100,
                    Indicator::Other(other) => *other,
                };
                // SAFETY: as above.
                let status = unsafe { papr_unplug_set_indicator(machine, indicator, place.index(), *value) };
                assert!([0, 9000, -1, -3, -9005, -9006, -9007, -9008].contains(&status), "{status}");
            }
            Call::Sense(sensor, place, is_wanted) => {
                let mut state = Box::new(7);
                let out = if *is_wanted { &raw mut *state } else { ptr::null_mut() };
                // SAFETY: as above; the state is NULL or can be written to.
                let status = unsafe { papr_unplug_get_sensor_state(machine, *sensor, place.index(), out) };
                assert!([0, -3].contains(&status) && (!*is_wanted || *state <= 2));
            }
            Call::Configure(place, is_first) => {
                // SAFETY: as above.
                let status = unsafe { papr_unplug_configure(machine, place.index(), *is_first) };
                assert!([0, -3, -9003].contains(&status), "{status}");
            }
            Call::Configured(place) => {
                // SAFETY: as above.
                let status = unsafe { papr_unplug_configured(machine, place.index()) };
                assert!([0, -3, -9003].contains(&status), "{status}");
            }
            // SAFETY: as above.
            Call::Reset => unsafe { papr_unplug_reset(machine) },
            Call::Offer(offer) => {
                let offer =
                    offer.map(|[indicator, classes, features]| PaprUnplugOffer { indicator, classes, features });
                // SAFETY: as above; the offer is NULL or lives until the call returns.
                self.result(unsafe { papr_unplug_set_offer(machine, offer.as_ref().map_or(ptr::null(), |one| one)) });
            }
            Call::Save { room } => drop(self.save(room.map(usize::from))),
            Call::Restore(bytes) => self.restore(bytes),
            Call::Import(place, state, is_requested) => {
                // SAFETY: as above.
                self.result(unsafe { papr_unplug_import(machine, place.index(), *state, *is_requested) });
                self.adopt();
            }
            Call::Ask(place) => {
                // SAFETY: as above.
                let state = unsafe { papr_unplug_state(machine, place.index()) };
                // SAFETY: as above.
                let is_pending = unsafe { papr_unplug_pending(machine, place.index()) };
                // SAFETY: as above.
                let has_more = unsafe { papr_unplug_has_more(machine) };
                assert!(state <= 8 && (!is_pending || (has_more && state != 0)));
            }
            Call::List { room } => drop(self.list(Some((*room).into()))),
            Call::Section { back, room } => {
                let mut bytes = vec![0xAA; usize::from(*room)].into_boxed_slice();
                let id = self.last.wrapping_sub((*back).into());
                // SAFETY: as above; there is room for as many bytes as it says.
                let length = unsafe { papr_unplug_section(machine, id, bytes.as_mut_ptr(), bytes.len()) };
                assert_eq!(length != 0, self.open.contains(&id));
                assert!(length == 0 || length > bytes.len() || bytes.starts_with(b"HP"));
            }
            Call::Explain { effect, request, room } => explain(*effect, *request, (*room).into()),
            Call::Reason(reason) => {
                let texts = [
                    papr_unplug_reason_name(*reason),
                    papr_unplug_reason_meaning(*reason),
                    papr_unplug_reason_advice(*reason),
                ];
                texts.iter().for_each(|text| assert!(text.is_null() || is_text(*text)));
            }
            Call::Armed(wants_classes, wants_features) => {
                let (mut classes, mut features) = (Box::new(0), Box::new(0));
                let out = |wanted: bool, out: *mut u32| if wanted { out } else { ptr::null_mut() };
                let (one, two) = (out(*wants_classes, &raw mut *classes), out(*wants_features, &raw mut *features));
                // SAFETY: as above; both are NULL or can be written to.
                unsafe { papr_unplug_armed(machine, one, two) };
                assert!(*classes <= 0xFFFF && *features <= 3);
            }
        }
    }

    /// A negative number is an error, and not a fault; it is said in words.
    fn result(&self, code: i32) {
        const FAULT: i32 = -2;
        assert_ne!(code, FAULT);
        // SAFETY: the handle is that of a machine, and the text is looked at before the next call.
        assert!(
            code >= 0 || unsafe { is_text(papr_unplug_error(self.handle)) && *papr_unplug_error(self.handle) != 0 }
        );
    }

    fn request(&mut self, first: u32, is_wanted: bool) {
        let mut made = Box::new(PaprUnplugRequest {
            id: 0,
            resource: 0,
            first: 0,
            count: 0,
            hint: 0,
            token: 0,
            is_promised: false,
            is_started: false,
        });
        let out = if is_wanted { &raw mut *made } else { ptr::null_mut() };
        // SAFETY: the handle is that of a machine; the request is NULL or can be written to.
        let code = unsafe { papr_unplug_request(self.handle, first, out) };
        self.result(code);
        if code >= 0 {
            self.last += 1;
            assert!(!is_wanted || (made.id == self.last && made.first == first), "{made:?}");
            assert!(self.open.insert(self.last));
        }
    }

    fn save(&self, room: Option<usize>) -> Vec<u8> {
        // SAFETY: the handle is that of a machine, and nothing is written.
        let length = unsafe { papr_unplug_save(self.handle, ptr::null_mut(), 0) };
        let mut bytes = vec![0; room.unwrap_or(length)].into_boxed_slice();
        // SAFETY: the handle is that of a machine; there is room for as many bytes as it says.
        assert_eq!(unsafe { papr_unplug_save(self.handle, bytes.as_mut_ptr(), bytes.len()) }, length);
        assert!(bytes.len() < length || bytes.starts_with(b"PUES"));
        bytes.into_vec()
    }

    fn restore(&mut self, bytes: &Bytes) {
        let before = self.save(None);
        let bytes = match bytes {
            Bytes::Noise(noise) => noise.clone(),
            Bytes::Saved(writes) => {
                let mut bytes = before.clone();
                let length = bytes.len();
                writes.iter().for_each(|(at, byte)| bytes[usize::from(*at) % length] = *byte);
                bytes
            }
            Bytes::None => Vec::new(),
        };
        let start = if bytes.is_empty() { ptr::null() } else { bytes.as_ptr() };
        // SAFETY: the handle is that of a machine; so many bytes can be read.
        let code = unsafe { papr_unplug_restore(self.handle, start, bytes.len()) };
        self.result(code);
        assert_eq!(self.save(None), if code == 0 { bytes } else { before });
        self.adopt();
    }

    /// What came by migration replaces what was open.
    fn adopt(&mut self) {
        self.open = self.list(None).iter().map(|request| request.id).collect();
        let saved = self.save(None);
        self.last = u64::from_be_bytes(saved[24..32].try_into().expect("the header has the last name"));
    }

    fn list(&self, room: Option<usize>) -> Vec<PaprUnplugRequest> {
        // SAFETY: the handle is that of a machine, and nothing is written.
        let number = unsafe { papr_unplug_open_requests(self.handle, ptr::null_mut(), 0) };
        let mut list = Vec::with_capacity(room.unwrap_or(number));
        let room = list.capacity();
        // SAFETY: the handle is that of a machine; there is room for as many as it says.
        assert_eq!(unsafe { papr_unplug_open_requests(self.handle, list.as_mut_ptr(), room) }, number);
        // SAFETY: so many were written.
        unsafe { list.set_len(number.min(room)) };
        list
    }

    /// Takes what there is to do; every request has one outcome, and is open until then.
    fn look(&mut self) {
        let mut effect = Box::new(PaprUnplugEffect::default());
        // SAFETY: the handle is that of a machine; the effect can be written to.
        while unsafe { papr_unplug_next_effect(self.handle, &raw mut *effect) } {
            if effect.kind == PaprUnplugEffectKind::Outcome as u32 {
                assert!(self.open.remove(&effect.request), "PUE-V-100: {effect:?}");
            }
            let words = [
                effect.kind,
                effect.resource,
                effect.first,
                effect.count,
                effect.end,
                effect.connector,
                effect.reason,
                effect.guest_errno,
                effect.evidence,
            ];
            explain(words, effect.request, 80);
        }
        let open: BTreeSet<u64> = self.list(None).iter().map(|request| request.id).collect();
        assert_eq!(open, self.open, "PUE-V-020");
    }
}

fn explain(words: [u32; 9], request: u64, room: usize) {
    let [kind, resource, first, count, end, connector, reason, guest_errno, evidence] = words;
    let effect =
        PaprUnplugEffect { kind, resource, first, count, request, end, connector, reason, guest_errno, evidence };
    let mut text: Box<[c_char]> = vec![1; room].into_boxed_slice();
    // SAFETY: there is an effect, and room for as many bytes as it says.
    let length = unsafe { papr_unplug_explain(&raw const effect, text.as_mut_ptr(), text.len()) };
    assert!(length == 0 || room == 0 || text[length.min(room - 1)] == 0);
}

/// Whether it is a C string in UTF-8.
fn is_text(text: *const c_char) -> bool {
    // SAFETY: what the library returns as text ends with a NUL, and is not changed until the next call.
    unsafe { CStr::from_ptr(text) }.to_str().is_ok()
}
