// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a handle stands for, and the way in.

use crate::{effect::Effects, error::Failure, incoming::Incoming, pointer};
use papr_unplug::{
    Config, Offer, Tracker,
    wire::{
        offer::{Classes, Features},
        rtas::Indicator,
    },
};
use std::{
    ffi::{CString, c_char, c_int},
    panic::{self, AssertUnwindSafe},
};

/// All DR connectors of one machine, the devices behind them, and the removal requests that are open.
pub struct PaprUnplug {
    tracker: Tracker,
    pub(crate) effects: Effects,
    pub(crate) incoming: Incoming,
    pub(crate) failure: CString,
    is_broken: bool,
}

/// A handle goes from thread to thread, as long as one uses it at a time.
const _: () = {
    const fn goes_from_thread_to_thread<T: Send>() {}
    goes_from_thread_to_thread::<PaprUnplug>();
};

/// Why a call finds no machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The handle is NULL.
    Null,
    /// There was a panic, and what it left cannot be trusted.
    Broken,
}

impl PaprUnplug {
    fn new(config: Config) -> Self {
        Self {
            tracker: Tracker::new(config),
            effects: Effects::new(),
            incoming: Incoming::Nothing,
            failure: CString::default(),
            is_broken: false,
        }
    }

    /// The machine and its effects, for a call that the guest or the user makes. What came by migration is complete.
    pub(crate) fn act(&mut self) -> (&mut Tracker, &mut Effects) {
        self.incoming.settle(&mut self.tracker, &mut self.effects);
        self.incoming = Incoming::Nothing;
        (&mut self.tracker, &mut self.effects)
    }

    /// The machine, for a question.
    pub(crate) fn look(&mut self) -> &Tracker {
        self.incoming.settle(&mut self.tracker, &mut self.effects);
        &self.tracker
    }

    /// The machine as it was before anything came by migration, and what came.
    pub(crate) fn arrive(&mut self) -> (&mut Tracker, &mut Incoming, &mut Effects) {
        (&mut self.tracker, &mut self.incoming, &mut self.effects)
    }

    fn guarded<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> Result<T, Absent> {
        if self.is_broken {
            return Err(Absent::Broken);
        }
        // What a panic leaves is never looked at again.
        panic::catch_unwind(AssertUnwindSafe(|| call(self))).map_err(|_| {
            self.is_broken = true;
            Absent::Broken
        })
    }
}

/// Runs a call on the machine behind a handle.
///
/// # Safety
/// `machine` is NULL, or came from [`papr_unplug_new`] and was not freed, and no other call uses it now.
pub(crate) unsafe fn enter<T>(machine: *mut PaprUnplug, call: impl FnOnce(&mut PaprUnplug) -> T) -> Result<T, Absent> {
    // SAFETY: by this function's contract it is NULL or a machine that nobody else uses.
    let machine = unsafe { machine.as_mut() };
    machine.ok_or(Absent::Null)?.guarded(call)
}

/// Runs a call that needs no machine; `otherwise` is what it gives should it panic.
pub(crate) fn shielded<T>(otherwise: T, call: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or(otherwise)
}

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

/// What a guest may do beyond the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugFeature {
    /// Hot plug events of CPUs, memory and persistent memory carry a token, and the guest's answers repeat it.
    Token = 1,
    /// The guest says when it begins to handle a request.
    Started = 2,
}

/// What a machine offers its guest: reports about removal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugOffer {
    /// The indicator that takes the reports: one of 9100 to 9999 that the VMM uses for nothing else.
    pub indicator: u32,
    /// The classes that may be armed: PaprUnplugClass, or-ed.
    pub classes: u32,
    /// The features that may be armed: PaprUnplugFeature, or-ed.
    pub features: u32,
}

impl PaprUnplugOffer {
    /// The offer, unless it means nothing.
    fn read(self) -> Result<Offer, Failure> {
        let no_offer = || Failure::argument("the offer's indicator is not one of 9100 to 9999, or it has unknown bits");
        let classes = u16::try_from(self.classes).ok().and_then(Classes::from_bits);
        let features = u8::try_from(self.features).map(Features).ok();
        let made = classes
            .zip(features)
            .and_then(|(classes, features)| Offer::new(Indicator(self.indicator), classes, features));
        made.ok_or_else(no_offer)
    }
}

/// Makes a machine without connectors.
///
/// `offer` is what its guest is offered; NULL offers nothing, and reports get -3. `max_open` is how many removal requests may
/// be open at a time, at most 65535; 0 stands for 1024.
///
/// Returns NULL if the offer's indicator is not one of 9100 to 9999, or if its classes or features have unknown bits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_new(offer: *const PaprUnplugOffer, max_open: u32) -> *mut PaprUnplug {
    // SAFETY: the contract at the top of the header.
    let offer = unsafe { offer.as_ref() }.copied();
    shielded(std::ptr::null_mut(), || {
        let Ok(offer) = offer.map(PaprUnplugOffer::read).transpose() else { return std::ptr::null_mut() };
        let config = match max_open {
            0 => Config::default(),
            number => Config::default().max_open(usize::try_from(number).unwrap_or(usize::MAX)),
        };
        Box::into_raw(Box::new(PaprUnplug::new(config.offer(offer))))
    })
}

/// Frees a machine. Effects that were not taken are lost. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_free(machine: *mut PaprUnplug) {
    if machine.is_null() {
        return;
    }
    // SAFETY: it came from a Box in papr_unplug_new(), and by the contract at the top of the header is freed once.
    let machine = unsafe { Box::from_raw(machine) };
    shielded((), || drop(machine));
}

/// The machine is reset, or the guest negotiates (ibm,client-architecture-support).
///
/// Every open request ends, the devices of requests that the guest has not refused are deleted, whatever else is plugged is
/// configured, and nothing is armed. Then the VMM discards hot plug events that the guest has not taken, and begins all streams
/// of ibm,configure-connector anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_reset(machine: *mut PaprUnplug) {
    let reset = |machine: &mut PaprUnplug| {
        let (tracker, effects) = machine.act();
        tracker.reset(effects);
    };
    // SAFETY: the contract at the top of the header.
    let _ = unsafe { enter(machine, reset) };
}

/// Changes what guests are offered from their next boot on.
///
/// NULL offers nothing any more, and also withdraws what the guest that runs now was offered, as if it had disarmed: its
/// reports get -3. That is for a machine that is about to migrate to a VMM without this library.
///
/// Returns 0, or PAPR_UNPLUG_ERROR_ARGUMENT for an offer that papr_unplug_new() would not take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_set_offer(machine: *mut PaprUnplug, offer: *const PaprUnplugOffer) -> c_int {
    // SAFETY: the contract at the top of the header.
    let offer = unsafe { offer.as_ref() }.copied();
    let set = |machine: &mut PaprUnplug| {
        let result = offer.map(PaprUnplugOffer::read).transpose().map(|offer| {
            let (tracker, effects) = machine.act();
            tracker.set_offer(offer, effects);
            0
        });
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, set) }.unwrap_or_else(Absent::code)
}

/// Tells what the guest has armed: PaprUnplugClass and PaprUnplugFeature, or-ed. Either pointer may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_armed(machine: *mut PaprUnplug, classes: *mut u32, features: *mut u32) {
    // SAFETY: the contract at the top of the header.
    let armed = unsafe { enter(machine, |machine| machine.look().armed()) };
    let (Classes(armed), Features(with)) = armed.unwrap_or((Classes::empty(), Features::empty()));
    // SAFETY: the contract at the top of the header.
    unsafe { pointer::tell(classes, armed.into()) };
    // SAFETY: the contract at the top of the header.
    unsafe { pointer::tell(features, with.into()) };
}

/// The name of the property of the /rtas node by which the guest learns of the offer. Its value is the three members of
/// PaprUnplugOffer in their order, as big endian cells. A machine that offers nothing does not have the property.
#[unsafe(no_mangle)]
pub extern "C" fn papr_unplug_offer_property() -> *const c_char {
    Offer::PROPERTY.as_ptr()
}

/// The version of this library, such as "0.1.0".
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
        let fault = machine.guarded(|_| panic!("on purpose")).map_err(Absent::code);
        assert_eq!(fault, Err(PaprUnplugError::Fault as c_int));

        let handle = Box::into_raw(Box::new(machine));
        // SAFETY: the handle is a machine's, and only this test uses it.
        let answer = unsafe { papr_unplug_set_offer(handle, std::ptr::null()) };
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
