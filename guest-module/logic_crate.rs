// SPDX-License-Identifier: GPL-2.0-only

//! The guest module's decisions, compiled for the machine at hand so that `cargo test` reaches them.
//!
//! The kernel builds the same `logic/` directory into `papr_unplug.ko`, see `papr_unplug_main.rs`.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(test)]
#[macro_use]
mod flags;
pub mod logic;
pub use papr_unplug_wire::wire;
