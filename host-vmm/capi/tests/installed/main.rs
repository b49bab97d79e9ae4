// SPDX-License-Identifier: MIT OR Apache-2.0

//! Installation by `cargo xtask install`, as a VMM's build and its users find it.

mod prefix;

mod programs;
mod symbols;
