// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons of `spec/reasons.toml`, each triggered on a real kernel, and the report to the host. `cargo xtask reasons`
//! runs these tests on both kernels and makes [docs/reasons.md] of their records.
//!
//! [docs/reasons.md]: ../../../docs/reasons.md

mod cpu;
mod debug;
mod memory;
mod pmem;
mod request;
