// SPDX-License-Identifier: MIT OR Apache-2.0

//! Commands of `cargo xtask`.

pub(crate) mod bench;
pub(crate) mod bisect;
pub(crate) mod clean;
pub(crate) mod conformance;
pub(crate) mod coverage;
pub(crate) mod demo;
pub(crate) mod differential;
pub(crate) mod drill;
pub(crate) mod fuzz;
pub(crate) mod kernels;
pub(crate) mod libvirt;
pub(crate) mod newcomer;
pub(crate) mod package;
pub(crate) mod pci;
pub(crate) mod portability;
pub(crate) mod reasons;
pub(crate) mod release;
pub(crate) mod soak;
pub(crate) mod test;
pub(crate) mod tool;
