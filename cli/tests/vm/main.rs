// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the program with a real QEMU, with and without a guest.

mod booted;
mod identities;
mod libvirt;
mod ours;
mod program;
mod unbooted;
