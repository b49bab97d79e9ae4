// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `cargo xtask install` installs, as a VMM's build and its users find it.

mod prefix;

mod programs;
mod symbols;
