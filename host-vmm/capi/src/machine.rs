// SPDX-License-Identifier: MIT OR Apache-2.0

//! Life of a machine: made, reset, freed; and what its guest is offered.

use crate::{
    error::Failure,
    handle::{PaprUnplug, enter, shielded},
    pointer::{self, Integers},
};
use papr_unplug::{
    Config, Offer,
    wire::{
        offer::{Classes, Features},
        rtas::Indicator,
    },
};
use std::{
    ffi::{c_char, c_int},
    ptr,
};

/// Classes of resources whose requests a guest may promise to answer: bit n stands for LoPAR's resource type n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugClass {
    /// Processor cores.
    Cpu = 0x02,
    /// Logical memory blocks.
    Memory = 0x04,
    /// PCI slots.
    Slot = 0x08,
    /// PCI host bridges.
    Phb = 0x10,
    /// PCI functions.
    Pci = 0x20,
    /// Persistent memory.
    Pmem = 0x40,
}

/// Features of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugFeature {
    /// Hot plug events of CPUs, memory and persistent memory carry a token, and the guest's answers repeat it.
    Token = 1,
    /// The guest reports when it begins to handle a request.
    Started = 2,
}

/// Configuration of a machine. All zeros: no reports, and the default bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugConfig {
    /// Indicator that takes reports: one of 9100 to 9999 that the VMM uses for nothing else; 0 to take none.
    pub indicator: u32,
    /// Classes that the guest may arm, PaprUnplugClass values combined by |.
    pub classes: u32,
    /// Features that the guest may arm, PaprUnplugFeature values combined by |.
    pub features: u32,
    /// Number of requests that may be open at a time, at most 65535; 0 for 1024.
    pub max_open: u32,
    /// Number of requests that may be open at a time for one device; 0 for 64.
    pub max_open_per_device: u32,
}

// SAFETY: it is repr(C) and has integers only.
unsafe impl Integers for PaprUnplugConfig {}

const _: () = assert!(size_of::<PaprUnplugConfig>() == 20);

/// Reads an offer; `None` for one of zeros.
fn read_offer(indicator: u32, classes: u32, features: u32) -> Result<Option<Offer>, Failure> {
    if (indicator, classes, features) == (0, 0, 0) {
        return Ok(None);
    }
    let classes = u16::try_from(classes).ok().and_then(Classes::from_bits);
    let features = u8::try_from(features).ok().and_then(Features::from_bits);
    let offer = |(classes, features)| Offer::new(Indicator(indicator), classes, features);
    let no_offer = "the offer's indicator is not one of 9100 to 9999, or it has unknown bits";
    classes.zip(features).and_then(offer).map(Some).ok_or_else(|| Failure::argument(no_offer))
}

impl PaprUnplugConfig {
    fn read(self) -> Result<Config, Failure> {
        let bound = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let mut config = Config::default().offer(read_offer(self.indicator, self.classes, self.features)?);
        if self.max_open != 0 {
            config = config.max_open(bound(self.max_open));
        }
        if self.max_open_per_device != 0 {
            config = config.max_open_per_device(bound(self.max_open_per_device));
        }
        Ok(config)
    }
}

/// Makes a machine without connectors. A NULL configuration is one of zeros.
///
/// Returns NULL if the offer's indicator is not one of 9100 to 9999, or if its classes or features have unknown bits.
///
/// # Safety
/// `config` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_new(config: *const PaprUnplugConfig, size: usize) -> *mut PaprUnplug {
    // SAFETY: by this function's contract.
    let config = unsafe { pointer::read_sized(config, size) }.unwrap_or_default();
    shielded(ptr::null_mut(), || {
        config.read().map_or(ptr::null_mut(), |config| Box::into_raw(Box::new(PaprUnplug::new(config))))
    })
}

/// Frees a machine. Effects that were not taken are lost. NULL is fine.
///
/// # Safety
/// `machine` keeps to the contract at the top, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_free(machine: *mut PaprUnplug) {
    if machine.is_null() {
        return;
    }
    // SAFETY: it came from a Box in papr_unplug_new(), and is freed once, by this function's contract.
    let machine = unsafe { Box::from_raw(machine) };
    shielded((), || drop(machine));
}

/// Resets the machine.
///
/// Every open request ends; the devices of requests that the guest has not refused are deleted; every other device is
/// configured; nothing is armed. The VMM then discards all hot plug events that the guest has not fetched, and begins
/// all streams of ibm,configure-connector anew.
///
/// Not for a reset that prepares the machine for a saved state: papr_unplug_load_begin().
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_reset(machine: *mut PaprUnplug) {
    // SAFETY: by this function's contract.
    let _ = unsafe { enter(machine, |machine| machine.tracker.reset(&mut machine.effects)) };
}

/// Does the same as papr_unplug_reset() when the guest negotiates (ibm,client-architecture-support).
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_cas(machine: *mut PaprUnplug) {
    // SAFETY: by this function's contract.
    let _ = unsafe { enter(machine, |machine| machine.tracker.cas(&mut machine.effects)) };
}

/// Changes what guests are offered from their next boot on; see PaprUnplugConfig for the numbers.
///
/// All zeros offer nothing any more, and also withdraw the offer to the guest that runs now, as if it had disarmed: its
/// reports get -3. That is for a machine that is about to migrate to a VMM without this library.
///
/// Returns 0, or PAPR_UNPLUG_ERROR_ARGUMENT for an offer that papr_unplug_new() does not take.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_set_offer(
    machine: *mut PaprUnplug,
    indicator: u32,
    classes: u32,
    features: u32,
) -> c_int {
    let set = |machine: &mut PaprUnplug| {
        let result = read_offer(indicator, classes, features).map(|offer| {
            machine.tracker.set_offer(offer, &mut machine.effects);
            0
        });
        machine.answer(result)
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, set) }.unwrap_or_else(|absent| absent.code())
}

/// Writes what the guest has armed: PaprUnplugClass and PaprUnplugFeature values combined by |.
///
/// # Safety
/// `machine`, `classes` and `features` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_armed(machine: *mut PaprUnplug, classes: *mut u32, features: *mut u32) {
    // SAFETY: by this function's contract.
    let armed = unsafe { enter(machine, |machine| machine.tracker.armed()) };
    let (armed, with) = armed.unwrap_or((Classes::empty(), Features::empty()));
    // SAFETY: by this function's contract.
    unsafe { pointer::tell(classes, armed.bits().into()) };
    // SAFETY: by this function's contract.
    unsafe { pointer::tell(features, with.bits().into()) };
}

/// Returns the name of the property of the /rtas node that holds the offer. Its value is indicator, classes and
/// features, as big endian cells. A machine that offers nothing does not have the property. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_offer_property() -> *const c_char {
    Offer::PROPERTY.as_ptr()
}

/// Returns the version of this library, such as "0.1.0". Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{PaprUnplugError, papr_unplug_error};
    use std::ffi::CStr;

    #[test]
    fn classes_and_features_are_the_protocols() {
        use PaprUnplugClass as Class;
        let classes = [Class::Cpu, Class::Memory, Class::Slot, Class::Phb, Class::Pci, Class::Pmem];
        let theirs = [Classes::CPU, Classes::MEMORY, Classes::SLOT, Classes::PHB, Classes::PCI, Classes::PMEM];
        assert_eq!(classes.map(|class| Classes(class as u16)), theirs);
        let features = [PaprUnplugFeature::Token, PaprUnplugFeature::Started];
        assert_eq!(features.map(|feature| Features(feature as u8)), [Features::TOKEN, Features::STARTED]);
    }

    #[test]
    fn machine_that_panicked_is_a_fault_until_it_is_freed() {
        let mut machine = PaprUnplug::new(Config::default());
        let fault = machine.guarded(|_| panic!("on purpose")).map_err(|absent| absent.code());
        assert_eq!(fault, Err(PaprUnplugError::Fault as c_int));

        let handle = Box::into_raw(Box::new(machine));
        // SAFETY: the handle is a machine's, and only this test uses it.
        let answer = unsafe { papr_unplug_set_offer(handle, 0, 0, 0) };
        assert_eq!(answer, PaprUnplugError::Fault as c_int);
        // SAFETY: as above.
        let text = unsafe { papr_unplug_error(handle) };
        // SAFETY: it is a text.
        let text = unsafe { CStr::from_ptr(text) };
        assert!(text.to_str().unwrap().contains("can only be freed"));
        // SAFETY: as above, and it is not used again.
        unsafe { papr_unplug_free(handle) };
    }

    #[test]
    fn call_without_a_machine_that_panics_gives_its_fallback() {
        assert_eq!(shielded(7, || panic!("on purpose")), 7);
    }
}
