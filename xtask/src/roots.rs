// SPDX-License-Identifier: MIT OR Apache-2.0

//! Roots: Debian systems that are unpacked by the calling user, for builds and trials.

pub(crate) mod foreign;
pub(crate) mod installed;
pub(crate) mod libvirt;
pub(crate) mod packages;
pub(crate) mod root;

pub(crate) use self::{
    foreign::{BIG_ENDIAN, Foreign, GUEST},
    packages::{debs, extract, fetch_tree, only_deb, tar_arguments},
    root::{BUILD_ROOT, CROSS_ROOT, DEBIAN_ROOT, LIBVIRT_BUILD_ROOT, QEMU_ROOT, RPM_ROOT, Root, STABLE_ROOT},
};
