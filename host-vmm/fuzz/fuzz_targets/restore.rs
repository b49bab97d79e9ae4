// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fuzz target: a hostile migration stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use papr_unplug_fuzz::stream::{self, Stream};

fuzz_target!(|stream: Stream| stream::restore(stream));
