// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machine for tests: calls the functions as C does, and keeps to the contract.

use papr_unplug_capi::*;
use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
};

/// Indicator on which test machines take reports.
pub(crate) const REPORTS: u32 = 9100;

/// Machine that is freed with this value.
pub(crate) struct Machine(*mut PaprUnplug);

impl Machine {
    /// Returns a machine that takes reports about CPUs and memory.
    pub(crate) fn new(max_open: u32) -> Self {
        let classes = PaprUnplugClass::Cpu as u32 | PaprUnplugClass::Memory as u32 | PaprUnplugClass::Pci as u32;
        let features = PaprUnplugFeature::Token as u32 | PaprUnplugFeature::Started as u32;
        let config =
            PaprUnplugConfig { indicator: REPORTS, classes, features, max_open, ..PaprUnplugConfig::default() };
        // SAFETY: the configuration is one.
        Self(unsafe { papr_unplug_new(&config, size_of_val(&config)) })
    }

    /// Returns a machine with these connectors of memory, and a DIMM that the guest has booted with behind all of them.
    pub(crate) fn with_dimm(first: u32, count: u32) -> Self {
        let machine = Self::new(0);
        assert_eq!(machine.add(PaprUnplugResource::Memory as u32, first, count), 0);
        assert_eq!(machine.attach(first, count, true), 0);
        machine
    }

    /// Returns the NULL machine.
    pub(crate) fn null() -> Self {
        Self(ptr::null_mut())
    }

    pub(crate) fn handle(&self) -> *mut PaprUnplug {
        self.0
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
        self.set_indicator_and_see(indicator, index, value).0
    }

    /// Returns the status, and the states before and after if the call changed the state.
    pub(crate) fn set_indicator_and_see(&self, indicator: u32, index: u32, value: u32) -> (i32, (u32, u32)) {
        let mut change = PaprUnplugChange { from: u32::MAX, to: u32::MAX };
        let size = size_of_val(&change);
        // SAFETY: it is this value's machine, or NULL.
        let status = unsafe { papr_unplug_set_indicator(self.0, indicator, index, value, &mut change, size) };
        (status, (change.from, change.to))
    }

    /// Gives a logical connector back, as the guest does.
    pub(crate) fn give_back(&self, index: u32) {
        assert_eq!((self.set_indicator(9001, index, 0), self.set_indicator(9003, index, 0)), (0, 0));
    }

    /// Returns the status, and the sensor's state.
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

    /// Returns the result, and the request if one was made.
    pub(crate) fn request(&self, first: u32) -> (c_int, Option<PaprUnplugRequest>) {
        let (code, made) = self.request_and_see(first);
        (code, (code >= 0).then_some(made.request))
    }

    /// Returns the result, and all that was written.
    pub(crate) fn request_and_see(&self, first: u32) -> (c_int, PaprUnplugRequested) {
        let mut made = NOTHING_REQUESTED;
        // SAFETY: it is this value's machine, or NULL.
        let code = unsafe { papr_unplug_request(self.0, first, &mut made, size_of_val(&made)) };
        (code, made)
    }

    pub(crate) fn withhold(&self, first: u32) -> (c_int, PaprUnplugRequested) {
        let mut made = NOTHING_REQUESTED;
        // SAFETY: it is this value's machine, or NULL.
        let code = unsafe { papr_unplug_withhold(self.0, first, &mut made, size_of_val(&made)) };
        (code, made)
    }

    /// Returns the result, and what was written.
    pub(crate) fn request_together(&self, firsts: &[u32]) -> (c_int, Vec<PaprUnplugRequested>) {
        self.request_together_with_room(firsts, firsts.len() + self.open_requests().len())
    }

    pub(crate) fn request_together_with_room(&self, firsts: &[u32], room: usize) -> (c_int, Vec<PaprUnplugRequested>) {
        let mut made = vec![NOTHING_REQUESTED; room];
        let (start, size, count) = (made.as_mut_ptr(), size_of::<PaprUnplugRequested>(), firsts.len());
        // SAFETY: it is this value's machine, or NULL; both have as many elements as it says.
        let code = unsafe { papr_unplug_request_together(self.0, firsts.as_ptr(), count, start, size, room) };
        made.retain(|made| *made != NOTHING_REQUESTED);
        (code, made)
    }

    pub(crate) fn withdraw(&self, id: u64) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_withdraw(self.0, id) }
    }

    pub(crate) fn open_requests(&self) -> Vec<PaprUnplugRequest> {
        let size = size_of::<PaprUnplugRequest>();
        // SAFETY: it is this value's machine, or NULL.
        let number = unsafe { papr_unplug_open_requests(self.0, ptr::null_mut(), size, 0) };
        let mut requests = vec![PaprUnplugRequest::default(); number];
        // SAFETY: there is room for as many.
        assert_eq!(unsafe { papr_unplug_open_requests(self.0, requests.as_mut_ptr(), size, number) }, number);
        requests
    }

    /// Returns the outcomes of the past, as text.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let size = size_of::<PaprUnplugEffect>();
        // SAFETY: it is this value's machine, or NULL.
        let number = unsafe { papr_unplug_outcomes(self.0, ptr::null_mut(), size, 0) };
        let mut outcomes = vec![PaprUnplugEffect::default(); number];
        // SAFETY: there is room for as many.
        assert_eq!(unsafe { papr_unplug_outcomes(self.0, outcomes.as_mut_ptr(), size, number) }, number);
        outcomes.iter().map(explain).collect()
    }

    pub(crate) fn reset(&self) {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_reset(self.0) };
    }

    pub(crate) fn cas(&self) {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_cas(self.0) };
    }

    pub(crate) fn set_offer(&self, [indicator, classes, features]: [u32; 3]) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_set_offer(self.0, indicator, classes, features) }
    }

    /// Returns the armed classes and features.
    pub(crate) fn armed(&self) -> (u32, u32) {
        let (mut classes, mut features) = (u32::MAX, u32::MAX);
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_armed(self.0, &mut classes, &mut features) };
        (classes, features)
    }

    pub(crate) fn has_effect(&self) -> bool {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_has_effect(self.0) }
    }

    pub(crate) fn next_effect(&self) -> Option<PaprUnplugEffect> {
        let mut effect = PaprUnplugEffect::default();
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_next_effect(self.0, &mut effect, size_of_val(&effect)) }.then_some(effect)
    }

    /// Takes all effects, as text.
    pub(crate) fn effects(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next_effect()).map(|effect| explain(&effect)).collect()
    }

    pub(crate) fn max_save(&self) -> usize {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_max_save(self.0) }
    }

    /// Returns the result, and the bytes that were written into a buffer of this size.
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

    pub(crate) fn load_begin(&self) {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_load_begin(self.0) };
    }

    pub(crate) fn load_end(&self) -> c_int {
        // SAFETY: it is this value's machine, or NULL.
        unsafe { papr_unplug_load_end(self.0) }
    }

    /// Loads a saved state, from beginning to end. Returns the first error.
    pub(crate) fn load(&self, bytes: &[u8]) -> c_int {
        self.load_begin();
        let restored = self.restore(bytes);
        if restored == 0 { self.load_end() } else { restored }
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

/// Returns the text of an effect.
pub(crate) fn explain(effect: &PaprUnplugEffect) -> String {
    let (length, _) = explain_into(effect, 0);
    let (_, text) = explain_into(effect, length + 1);
    CStr::from_bytes_with_nul(&text).unwrap().to_str().unwrap().to_owned()
}

/// Returns the result, and the bytes that were written into a buffer of this size.
pub(crate) fn explain_into(effect: &PaprUnplugEffect, room: usize) -> (usize, Vec<u8>) {
    let mut text = vec![0xAA; room];
    // SAFETY: the effect is one, and there is so much room.
    let length = unsafe { papr_unplug_explain(effect, size_of_val(effect), text.as_mut_ptr().cast::<c_char>(), room) };
    (length, text)
}

/// Bytes that no call writes.
pub(crate) const NOTHING_REQUESTED: PaprUnplugRequested = PaprUnplugRequested {
    section_size: u32::MAX,
    section: [0xAA; 60],
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
