// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fuzz target: words of a hostile guest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use papr_unplug_fuzz::calls::{self, Heard};

fuzz_target!(|heard: Heard| calls::read(heard));
