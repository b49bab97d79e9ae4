// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program and a real QEMU: with guests that decide, and without any.

mod booted;
mod ours;
mod program;
mod unbooted;
