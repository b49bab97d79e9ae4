// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fuzz target: a hostile guest, a hasty user, and migrations in the middle.

#![no_main]

use libfuzzer_sys::fuzz_target;
use papr_unplug_fuzz::history::History;

fuzz_target!(|history: History| {
    history.live(|_| ());
});
