// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every reason of `spec/reasons.toml` that this kernel can have, provoked on a real kernel, and what the host is told then.
//! `cargo xtask reasons` runs these on both kernels and makes [docs/reasons.md] of what they saw.
//!
//! [docs/reasons.md]: ../../../docs/reasons.md

mod cpu;
mod debug;
mod memory;
mod pmem;
mod request;
