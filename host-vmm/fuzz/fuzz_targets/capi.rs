// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fuzz target: a VMM in C that calls anything in any order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use papr_unplug_fuzz::handle::{self, Life};

fuzz_target!(|life: Life| handle::live(life));
