// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations of the guest's calls: none.

// UNSAFETY: an allocator is unsafe to implement, and the functions are called as C calls them.
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use papr_unplug_capi::*;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ptr,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does all the work; a `Cell` with a constant initial value allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const DIMM: u32 = 0x8000_0008;

/// Releases a DIMM of four LMBs, with a hint on the way. Returns the sum of the statuses and the number of effects.
fn release(machine: *mut PaprUnplug) -> (i32, usize) {
    let mut sum = 0;
    let mut set = |indicator, index, value| {
        // SAFETY: it is a machine.
        sum += unsafe { papr_unplug_set_indicator(machine, indicator, index, value, ptr::null_mut(), 0) };
    };
    set(9001, DIMM, 1);
    for index in DIMM..DIMM + 4 {
        set(9001, index, 0);
        set(9003, index, 0);
    }
    // SAFETY: it is a machine.
    let effects = std::iter::from_fn(|| unsafe { papr_unplug_next_effect(machine, ptr::null_mut(), 0) }.then_some(()));
    (sum, effects.count())
}

#[test]
fn calls_of_the_guest_allocate_nothing() {
    // SAFETY: NULL is a configuration of zeros.
    let machine = unsafe { papr_unplug_new(ptr::null(), 0) };
    // SAFETY: it is a machine.
    let mut codes = vec![unsafe { papr_unplug_add(machine, 2, DIMM, 4) }];
    // SAFETY: it is a machine.
    codes.push(unsafe { papr_unplug_attach(machine, DIMM, 4, true) });
    // Two requests: the hint ends one, the release the other.
    for _ in 0..2 {
        // SAFETY: it is a machine.
        codes.push(unsafe { papr_unplug_request(machine, DIMM, ptr::null_mut(), 0) });
    }
    assert_eq!(codes, [0; 4]);

    let before = ALLOCATIONS.get();
    let done = release(machine);
    assert_eq!((ALLOCATIONS.get() - before, done), (0, (0, 3)));
    // SAFETY: it is a machine, and is not used again.
    unsafe { papr_unplug_free(machine) };
}
