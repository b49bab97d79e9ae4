// SPDX-License-Identifier: GPL-2.0-only

//! Decisions of the guest module as a crate for this machine, so that `cargo test` reaches them.
//!
//! The kernel builds the same `logic/` directory into `papr_unplug.ko`; see `papr_unplug_main.rs`.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

#[macro_use]
mod flags;
#[path = "entry/line.rs"]
pub mod line;
pub mod logic;
pub use papr_unplug_wire::wire;
