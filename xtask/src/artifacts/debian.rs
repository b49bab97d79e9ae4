// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels that Debian has for ppc64el, and what it takes to boot them with the module.

pub(crate) mod initramfs;
pub(crate) mod kernel;
pub(crate) mod module;
pub(crate) mod root;
