// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program and a real stock QEMU: with guests that decide, and without any.

mod booted;
mod program;
mod unbooted;
