// SPDX-License-Identifier: MIT OR Apache-2.0

//! The VMM: its machine, its process, its monitor, and migration from one VMM to another.

pub mod kvm;
pub mod machine;
pub mod migration;
pub mod promise;
pub mod qemu;
pub mod qmp;
pub mod snapshot;
