// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measurements, compared with their targets and with stock parts.

pub mod guest;
pub mod host;
pub mod kernels;
pub mod qemu;
pub mod table;
