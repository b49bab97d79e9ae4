// SPDX-License-Identifier: MIT OR Apache-2.0

//! A machine as tests use it: the functions as C calls them, with the contract kept.

use papr_unplug_capi::*;
use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
};

/// The indicator that test machines take reports on.
pub(crate) const REPORTS: u32 = 9100;

/// A machine that is freed with this value.
pub(crate) struct Machine(*mut PaprUnplug);

impl Machine {
    /// Takes reports about CPUs and memory.
    pub(crate) fn new(max_open: u32) -> Self {
        let classes = PaprUnplugClass::Cpu as u32 | PaprUnplugClass::Memory as u32;
        let features = PaprUnplugFeature::Token as u32 | PaprUnplugFeature::Started as u32;
        let offer = PaprUnplugOffer { indicator: REPORTS, classes, features };
        // SAFETY: the offer is one.
        Self(unsafe { papr_unplug_new(&offer, max_open) })
    }

    /// With these connectors of memory, and a DIMM that the guest has booted with behind all of them.
    pub(crate) fn with_dimm(first: u32, count: u32) -> Self {
        let machine = Self::new(0);
        assert_eq!(machine.add(PaprUnplugResource::Memory as u32, first, count), 0);
        assert_eq!(machine.attach(first, count, true), 0);
        machine
    }

    /// No machine.
    pub(crate) fn null() -> Self {
        Self(ptr::null_mut())
    }

    pub(crate) fn add(&self, resource: u32, first: u32, count: u32) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_add(self.0, resource, first, count) }
    }

    pub(crate) fn remove(&self, first: u32, count: u32) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_remove(self.0, first, count) }
    }

    pub(crate) fn attach(&self, first: u32, count: u32, is_ready: bool) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_attach(self.0, first, count, is_ready) }
    }

    pub(crate) fn detach(&self, first: u32) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_detach(self.0, first) }
    }

    pub(crate) fn state(&self, index: u32) -> u32 {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_state(self.0, index) }
    }

    pub(crate) fn set_indicator(&self, indicator: u32, index: u32, value: u32) -> i32 {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_set_indicator(self.0, indicator, index, value) }
    }

    /// The guest gives a logical connector back.
    pub(crate) fn give_back(&self, index: u32) {
        assert_eq!((self.set_indicator(9001, index, 0), self.set_indicator(9003, index, 0)), (0, 0));
    }

    /// The status, and the sensor's state.
    pub(crate) fn get_sensor_state(&self, sensor: u32, index: u32) -> (i32, u32) {
        let mut state = u32::MAX;
        // SAFETY: it is this value's machine, or NULL.
        let status = unsafe { papr_unplug_get_sensor_state(self.0, sensor, index, &mut state) };
        (status, state)
    }

    pub(crate) fn configure(&self, index: u32, is_first: bool) -> i32 {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_configure(self.0, index, is_first) }
    }

    pub(crate) fn configured(&self, index: u32) -> i32 {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_configured(self.0, index) }
    }

    /// What is returned, and the request, if there is one.
    pub(crate) fn request(&self, first: u32) -> (c_int, Option<PaprUnplugRequest>) {
        let mut request = NO_REQUEST;
        // SAFETY: it is this value's machine, or NULL.
        let code = unsafe { papr_unplug_request(self.0, first, &mut request) };
        (code, (request != NO_REQUEST).then_some(request))
    }

    pub(crate) fn open_requests(&self) -> Vec<PaprUnplugRequest> {
        // SAFETY: it is this value's machine, or NULL.
        let number = unsafe { papr_unplug_open_requests(self.0, ptr::null_mut(), 0) };
        let mut requests = vec![NO_REQUEST; number];
        // SAFETY: there is room for as many.
        assert_eq!(unsafe { papr_unplug_open_requests(self.0, requests.as_mut_ptr(), number) }, number);
        requests
    }

    /// What is returned, and the bytes that were written into a buffer of this size.
    pub(crate) fn section(&self, id: u64, room: usize) -> (usize, Vec<u8>) {
        let mut bytes = vec![0xAA; room];
        // SAFETY: there is so much room.
        let size = unsafe { papr_unplug_section(self.0, id, bytes.as_mut_ptr(), room) };
        (size, bytes)
    }

    pub(crate) fn reset(&self) {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_reset(self.0) };
    }

    pub(crate) fn set_offer(&self, offer: Option<&PaprUnplugOffer>) -> c_int {
        // SAFETY: it is this value's machine, or NULL, and the offer is one.
        unsafe { papr_unplug_set_offer(self.0, offer.map_or(ptr::null(), ptr::from_ref)) }
    }

    /// Classes and features.
    pub(crate) fn armed(&self) -> (u32, u32) {
        let (mut classes, mut features) = (u32::MAX, u32::MAX);
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_armed(self.0, &mut classes, &mut features) };
        (classes, features)
    }

    pub(crate) fn next_effect(&self) -> Option<PaprUnplugEffect> {
        let mut effect = PaprUnplugEffect::default();
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_next_effect(self.0, &mut effect) }.then_some(effect)
    }

    /// All that there are, as text.
    pub(crate) fn effects(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next_effect()).map(|effect| explain(&effect)).collect()
    }

    /// What is returned, and the bytes that were written into a buffer of this size.
    pub(crate) fn save_into(&self, room: usize) -> (usize, Vec<u8>) {
        let mut bytes = vec![0xAA; room];
        // SAFETY: there is so much room.
        let size = unsafe { papr_unplug_save(self.0, bytes.as_mut_ptr(), room) };
        (size, bytes)
    }

    pub(crate) fn save(&self) -> Vec<u8> {
        let (size, _) = self.save_into(0);
        self.save_into(size).1
    }

    pub(crate) fn restore(&self, bytes: &[u8]) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_restore(self.0, bytes.as_ptr(), bytes.len()) }
    }

    pub(crate) fn import(&self, index: u32, state: u32, is_unplug_requested: bool) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_import(self.0, index, state, is_unplug_requested) }
    }

    pub(crate) fn pending(&self, index: u32) -> bool {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_pending(self.0, index) }
    }

    pub(crate) fn has_more(&self) -> bool {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_has_more(self.0) }
    }

    pub(crate) fn error(&self) -> String {
        // SAFETY: it is this value's machine, or NULL.
        let text = unsafe { papr_unplug_error(self.0) };
        // SAFETY: it is a text, which is valid until the next call.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: it is this value's machine, or NULL, and is not used again.
        unsafe { papr_unplug_free(self.0) };
    }
}

/// An effect in words, all of them.
pub(crate) fn explain(effect: &PaprUnplugEffect) -> String {
    let (length, _) = explain_into(effect, 0);
    let (_, text) = explain_into(effect, length + 1);
    CStr::from_bytes_with_nul(&text).unwrap().to_str().unwrap().to_owned()
}

/// What is returned, and the bytes that were written into a buffer of this size.
pub(crate) fn explain_into(effect: &PaprUnplugEffect, room: usize) -> (usize, Vec<u8>) {
    let mut text = vec![0xAA; room];
    // SAFETY: the effect is one, and there is so much room.
    let length = unsafe { papr_unplug_explain(effect, text.as_mut_ptr().cast::<c_char>(), room) };
    (length, text)
}

const NO_REQUEST: PaprUnplugRequest = PaprUnplugRequest {
    id: 0,
    resource: 0,
    first: 0,
    count: 0,
    hint: 0,
    token: 0,
    is_promised: false,
    is_started: false,
};
