// SPDX-License-Identifier: MIT OR Apache-2.0

//! VMM in C that calls anything in any order, and keeps to the contract of the header.
//!
//! Every buffer is an allocation of its exact size, so that AddressSanitizer finds an access beyond it.

// UNSAFETY: these are calls into C's side of the library.
#![expect(unsafe_code, reason = "the C ABI takes pointers")]

use crate::many::Many;
use arbitrary::Arbitrary;
use papr_unplug_capi::*;
use std::{
    collections::BTreeSet,
    ffi::{CStr, c_char},
    ptr,
};

/// One call. `room` is the size of the caller's buffer.
#[derive(Arbitrary, Debug)]
pub enum Call {
    Add(u32, Place, u8),
    Remove(Place, u8),
    Attach(Place, u8, bool),
    Detach(Place),
    Request(Place, bool),
    Withhold(Place),
    Together([Place; 2]),
    Withdraw { back: u8 },
    SetIndicator(Indicator, Place, u32),
    Sense(u32, Place, bool),
    Configure(Place, bool),
    Configured(Place),
    Reset,
    Cas,
    Offer(Option<[u32; 3]>),
    Save { room: Option<u16> },
    Restore(Bytes),
    Import(Place, u32, bool),
    LoadBegin,
    LoadEnd,
    Ask(Place),
    List { room: u8 },
    Outcomes { size: u8, room: u8 },
    Explain { effect: [u32; 12], request: u64, size: u8, room: u8 },
    Reason(u32),
    Armed(bool, bool),
}

/// Saved state: noise, or one of this machine with some bytes overwritten.
#[derive(Arbitrary, Debug)]
pub enum Bytes {
    Noise(Vec<u8>),
    Saved(Vec<(u16, u8)>),
    None,
}

/// Indicator.
#[derive(Arbitrary, Debug)]
pub enum Indicator {
    Isolation,
    Allocation,
    Report,
    Other(u32),
}

/// Connector.
#[derive(Arbitrary, Debug)]
pub enum Place {
    Cpu(u8),
    Lmb(u8),
    Function(u8),
    Other(u32),
}

/// Life of a VMM.
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

/// Machine, with the requests that have no outcome yet.
struct Machine {
    handle: *mut PaprUnplug,
    open: BTreeSet<u64>,
    last: u64,
    is_loading: bool,
}

/// Plays the life.
pub fn live(life: Life) {
    let [indicator, classes, features] = if life.offers { [9100, 0x7E, 3] } else { [0; 3] };
    let max_open = life.max_open.into();
    let config = PaprUnplugConfig { indicator, classes, features, max_open, max_open_per_device: max_open / 2 };
    // SAFETY: the configuration lives until the call returns.
    let handle = unsafe { papr_unplug_new(&raw const config, size_of_val(&config)) };
    assert!(!handle.is_null());
    let mut machine = Machine { handle, open: BTreeSet::new(), last: 0, is_loading: false };
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
            Call::Withhold(place) => self.withhold(place.index()),
            Call::Together(places) => self.request_together(places.each_ref().map(Place::index)),
            Call::Withdraw { back } => {
                let id = self.last.wrapping_sub((*back).into());
                // SAFETY: as above.
                let code = unsafe { papr_unplug_withdraw(machine, id) };
                self.result(code);
                assert_eq!(code == 0, self.open.contains(&id), "PUE-V-057");
            }
            Call::SetIndicator(indicator, place, value) => {
                let indicator = match indicator {
                    Indicator::Isolation => 9001,
                    Indicator::Allocation => 9003,
                    Indicator::Report => 9100,
                    Indicator::Other(other) => *other,
                };
                let status = self.set_indicator(indicator, place.index(), *value);
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
            // SAFETY: as above.
            Call::Cas => unsafe { papr_unplug_cas(machine) },
            Call::Offer(offer) => {
                let [indicator, classes, features] = offer.unwrap_or_default();
                // SAFETY: as above.
                self.result(unsafe { papr_unplug_set_offer(machine, indicator, classes, features) });
            }
            Call::Save { room } => drop(self.save(room.map(usize::from))),
            Call::Restore(bytes) => self.restore(bytes),
            Call::Import(place, state, is_requested) => {
                // SAFETY: as above.
                let code = unsafe { papr_unplug_import(machine, place.index(), *state, *is_requested) };
                self.result(code);
                self.is_loading |= code == 0;
            }
            Call::LoadBegin => {
                // SAFETY: as above.
                unsafe { papr_unplug_load_begin(machine) };
                self.is_loading = true;
            }
            Call::LoadEnd => self.load_end(),
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
            Call::Outcomes { size, room } => {
                let (size, room) = (usize::from(*size), usize::from(*room));
                let mut bytes = vec![0xAA_u8; size * room].into_boxed_slice();
                // SAFETY: as above; there is room for as many as it says.
                let number = unsafe { papr_unplug_outcomes(machine, bytes.as_mut_ptr().cast(), size, room) };
                assert!(number <= 64);
                let written = number.min(room) * size;
                assert!(bytes[written..].iter().all(|byte| *byte == 0xAA));
            }
            Call::Explain { effect, request, size, room } => explain(*effect, *request, *size, (*room).into()),
            Call::Reason(reason) => {
                let texts = [
                    papr_unplug_reason_name(*reason),
                    papr_unplug_reason_meaning(*reason),
                    papr_unplug_reason_advice(*reason),
                ];
                texts.iter().for_each(|text| assert!(text.is_null() || is_text(*text)));
                assert!(papr_unplug_reason_persistence(*reason) <= PaprUnplugPersistence::Permanent as u32);
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

    /// Checks that a negative result is an error with a text, and no fault of the library.
    fn result(&self, code: i32) {
        const FAULT: i32 = -2;
        assert_ne!(code, FAULT);
        // SAFETY: the handle is that of a machine, and the text is looked at before the next call.
        assert!(
            code >= 0 || unsafe { is_text(papr_unplug_error(self.handle)) && *papr_unplug_error(self.handle) != 0 }
        );
    }

    fn set_indicator(&self, indicator: u32, index: u32, value: u32) -> i32 {
        let mut change = Box::new(PaprUnplugChange::default());
        // SAFETY: the handle is that of a machine.
        let before = unsafe { papr_unplug_state(self.handle, index) };
        let size = size_of_val(&*change);
        // SAFETY: as above; the change can be written to.
        let status =
            unsafe { papr_unplug_set_indicator(self.handle, indicator, index, value, &raw mut *change, size) };
        assert!((change.from, change.to) == (0, 0) || (change.from == before && change.to != before), "{change:?}");
        status
    }

    fn request(&mut self, first: u32, is_wanted: bool) {
        let mut made = Box::new(NOTHING);
        let out = if is_wanted { &raw mut *made } else { ptr::null_mut() };
        // SAFETY: the handle is that of a machine; the request is NULL or can be written to.
        let code = unsafe { papr_unplug_request(self.handle, first, out, size_of_val(&*made)) };
        self.made(code, first, is_wanted.then_some(&*made));
        assert!(!is_wanted || code != 0 || made.section_size >= 20);
    }

    fn withhold(&mut self, first: u32) {
        let mut made = Box::new(NOTHING);
        // SAFETY: the handle is that of a machine; the request can be written to.
        let code = unsafe { papr_unplug_withhold(self.handle, first, &raw mut *made, size_of_val(&*made)) };
        self.made(code, first, Some(&*made));
        assert_eq!(made.section_size, 0, "PUE-V-055");
    }

    fn made(&mut self, code: i32, first: u32, made: Option<&PaprUnplugRequested>) {
        self.result(code);
        if code >= 0 {
            self.last += 1;
            let is_next = |made: &PaprUnplugRequested| made.request.id == self.last && made.request.first == first;
            assert!(made.is_none_or(is_next), "{made:?}");
            assert!(self.open.insert(self.last));
        }
    }

    /// PUE-V-056
    fn request_together(&mut self, firsts: [u32; 2]) {
        let before = self.list(None).len();
        let mut made = vec![NOTHING; firsts.len() + before].into_boxed_slice();
        let (start, size, room) = (made.as_mut_ptr(), size_of::<PaprUnplugRequested>(), made.len());
        // SAFETY: the handle is that of a machine; both have as many elements as it says.
        let code = unsafe { papr_unplug_request_together(self.handle, firsts.as_ptr(), 2, start, size, room) };
        self.result(code);
        if code < 0 {
            assert_eq!(self.list(None).len(), before);
            return;
        }
        for request in made.iter().take(code.unsigned_abs() as usize).map(|made| made.request) {
            self.open.insert(request.id);
            self.last = self.last.max(request.id);
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
        // SAFETY: the handle is that of a machine; the bytes are a slice's.
        let code = unsafe { papr_unplug_restore(self.handle, start, bytes.len()) };
        self.result(code);
        self.is_loading |= code == 0;
        // SAFETY: the handle is that of a machine.
        let longest = unsafe { papr_unplug_max_save(self.handle) };
        assert!(code != 0 || bytes.len() <= longest, "PUE-V-088");
        assert_eq!(self.save(None), before, "a load has an effect before it ends");
    }

    /// PUE-V-087: what was open and is not any more has an outcome; what is open and was not is new.
    fn load_end(&mut self) {
        let (before, was_loading) = (self.save(None), self.is_loading);
        // SAFETY: the handle is that of a machine.
        let code = unsafe { papr_unplug_load_end(self.handle) };
        self.result(code);
        self.is_loading = false;
        assert!((was_loading && code == 0) || self.save(None) == before);
        let saved = self.save(None);
        let last = u64::from_be_bytes(saved[24..32].try_into().expect("the header has the last id"));
        assert!(last >= self.last, "PUE-V-086");
        let loaded = self.list(None);
        let was_loaded = was_loading && code == 0;
        for known in self.open.iter().copied().filter(|_| was_loaded) {
            // SAFETY: the handle is that of a machine.
            let now = unsafe { papr_unplug_renumbered(self.handle, known) };
            assert!(now == known || loaded.iter().any(|request| request.id == now), "PUE-V-087: {known} is {now}");
        }
        for request in loaded {
            assert!(self.open.contains(&request.id) || request.id > self.last, "PUE-V-087: {request:?}");
            self.open.insert(request.id);
        }
        self.last = last;
    }

    fn list(&self, room: Option<usize>) -> Vec<PaprUnplugRequest> {
        // SAFETY: the handle is that of a machine, and nothing is written.
        let number = unsafe { papr_unplug_open_requests(self.handle, ptr::null_mut(), 0, 0) };
        const SIZE: usize = size_of::<PaprUnplugRequest>();
        let mut list = Vec::with_capacity(room.unwrap_or(number));
        let room = list.capacity();
        // SAFETY: the handle is that of a machine; there is room for as many as it says.
        assert_eq!(unsafe { papr_unplug_open_requests(self.handle, list.as_mut_ptr(), SIZE, room) }, number);
        // SAFETY: this number of requests was written.
        unsafe { list.set_len(number.min(room)) };
        list
    }

    /// Takes what there is to do; every request has one outcome, and is open until then.
    fn look(&mut self) {
        let mut effect = Box::new(PaprUnplugEffect::default());
        // SAFETY: the handle is that of a machine; the effect can be written to.
        while unsafe { papr_unplug_next_effect(self.handle, &raw mut *effect, size_of_val(&*effect)) } {
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
                effect.by,
                effect.requests,
                effect.reserved,
            ];
            explain(words, effect.request, 56, 80);
        }
        let open: BTreeSet<u64> = self.list(None).iter().map(|request| request.id).collect();
        assert_eq!(open, self.open, "PUE-V-020");
    }
}

fn explain(words: [u32; 12], request: u64, size: u8, room: usize) {
    let [kind, resource, first, count, end, connector, reason, guest_errno, evidence, by, requests, reserved] = words;
    let effect = PaprUnplugEffect {
        kind,
        resource,
        first,
        count,
        request,
        end,
        connector,
        reason,
        guest_errno,
        evidence,
        by,
        requests,
        reserved,
    };
    let size = usize::from(size).min(size_of_val(&effect));
    let mut text: Box<[c_char]> = vec![1; room].into_boxed_slice();
    // SAFETY: there are as many bytes of the effect, and of room, as it says.
    let length = unsafe { papr_unplug_explain(&raw const effect, size, text.as_mut_ptr(), text.len()) };
    assert!(length == 0 || room == 0 || text[length.min(room - 1)] == 0);
}

/// Nothing requested.
const NOTHING: PaprUnplugRequested = PaprUnplugRequested {
    section_size: 0,
    section: [0; 60],
    request: PaprUnplugRequest {
        id: 0,
        resource: 0,
        first: 0,
        count: 0,
        hint: 0,
        token: 0,
        is_promised: false,
        is_started: false,
        is_withheld: false,
        is_imported: false,
    },
};

/// Returns whether it is a C string in UTF-8.
fn is_text(text: *const c_char) -> bool {
    // SAFETY: what the library returns as text ends with a NUL, and is not changed until the next call.
    unsafe { CStr::from_ptr(text) }.to_str().is_ok()
}
