// SPDX-License-Identifier: MIT OR Apache-2.0

//! Roots: Debian systems that are unpacked by the calling user, for builds and trials.

pub(crate) mod foreign;
pub(crate) mod installed;
pub(crate) mod libvirt;
pub(crate) mod packages;
pub(crate) mod root;
pub(crate) mod untar;
