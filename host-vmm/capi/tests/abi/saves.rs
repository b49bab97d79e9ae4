// SPDX-License-Identifier: MIT OR Apache-2.0

//! Save and load.

use crate::machine::{Machine, REPORTS};
use papr_unplug_capi::{PaprUnplugError as Error, papr_unplug_free, papr_unplug_new, papr_unplug_restore};
use std::ptr;

const DIMM: u32 = 0x8000_0008;

fn armed() -> Machine {
    let machine = Machine::with_dimm(DIMM, 2);
    assert_eq!(machine.set_indicator(REPORTS, 0, 0x2001_0004), 0);
    machine
}

#[test]
fn state_is_written_whole_or_not_at_all() {
    let machine = armed();
    let saved = machine.save();
    let short = saved.len() - 1;
    assert_eq!(machine.save_into(short), (saved.len(), vec![0xAA; short]));
    let (size, bytes) = machine.save_into(saved.len() + 1);
    assert_eq!((size, bytes.strip_prefix(saved.as_slice())), (saved.len(), Some([0xAA].as_slice())));
}

#[test]
fn state_that_is_restored_goes_on_as_the_saved_one() {
    let from = armed();
    assert_eq!(from.request(DIMM).0, 0);
    let to = Machine::with_dimm(DIMM, 2);
    assert_eq!(to.load(&from.save()), 0);
    assert_eq!((to.armed(), to.open_requests()), (from.armed(), from.open_requests()));
    assert_eq!(to.set_indicator(REPORTS, DIMM, 0x8610_0001), 0);
    assert!(to.effects()[0].contains("unmovable-page"));
}

#[test]
fn state_that_does_not_fit_is_an_error_and_changes_nothing() {
    let saved = armed().save();
    let machine = armed();
    let newer = [b"PUES", &[0xFF, 0xFF][..], &saved[6..]].concat();
    let no_devices = Machine::new(0);
    assert_eq!(machine.restore(&saved[..saved.len() - 1]), Error::BadSave as i32);
    assert_eq!(machine.restore(&newer), Error::UnknownVersion as i32);
    assert_eq!(machine.restore(&no_devices.save()), Error::OtherMachine as i32);
    assert!(machine.error().contains("plug the same devices"));
    assert_eq!(machine.save(), saved);

    let takes_none = Machine::with_dimm(DIMM, 2);
    assert_eq!(takes_none.set_offer([0; 3]), 0);
    assert_eq!(takes_none.restore(&saved), Error::ReportsNotTaken as i32);
    assert!(!takes_none.has_more());
}

#[test]
fn bytes_that_are_null_are_none() {
    // SAFETY: NULL is a configuration of zeros.
    let machine = unsafe { papr_unplug_new(ptr::null(), 0) };
    // SAFETY: it is a machine, and NULL is no bytes.
    assert_eq!(unsafe { papr_unplug_restore(machine, ptr::null(), 44) }, Error::BadSave as i32);
    // SAFETY: it is a machine, and is not used again.
    unsafe { papr_unplug_free(machine) };
}

#[test]
fn machine_that_marks_say_all_of_has_no_more() {
    let machine = Machine::with_dimm(DIMM, 2);
    assert!(!machine.has_more());
    assert_eq!(machine.request(DIMM).0, 0);
    assert!(machine.has_more());
    assert!(armed().has_more());
    // Ids are kept, unless the machine is about to leave this library.
    let used = Machine::with_dimm(DIMM, 2);
    assert_eq!((used.request(DIMM).0, used.withdraw(1)), (0, 0));
    used.reset();
    assert!(used.has_more());
    assert_eq!((used.set_offer([0; 3]), used.has_more()), (0, false));
}

/// A load takes effect when it ends, as a whole; before that, and if it fails, the machine is as it was.
#[test]
fn load_that_does_not_end_changes_nothing() {
    let (from, machine) = (armed(), armed());
    assert_eq!((from.request(DIMM).0, machine.request(DIMM).0), (0, 0));
    from.give_back(DIMM);
    let before = machine.save();
    machine.load_begin();
    assert_eq!(machine.restore(&from.save()), 0);
    assert_eq!(machine.save(), before);
    assert_eq!((machine.attach(DIMM, 2, true), machine.request(DIMM).0), (Error::Occupied as i32, 0));
    // Another load begins, and nothing comes.
    machine.load_begin();
    assert_eq!(machine.load_end(), 0);
    let expected = [1, 2].map(|id| {
        format!("request {id} to remove memory 0x80000008 to 0x80000009: closed, because another state of the machine was loaded")
    });
    assert_eq!(machine.effects(), expected);
    assert_eq!((machine.armed(), machine.open_requests(), machine.state(DIMM)), ((0, 0), vec![], 4));
}

/// PUE-V-088
#[test]
fn length_of_a_stream_can_be_checked_before_memory_is_taken() {
    let machine = armed();
    assert_eq!(machine.max_save(), 52 + 16 + 2 * 8 + 1024 * 20 + 64 * 28);
    assert!(machine.save().len() <= machine.max_save());
}
