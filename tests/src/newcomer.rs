// SPDX-License-Identifier: MIT OR Apache-2.0

//! A newcomer: types the commands of a page into an installed Debian that boots from a disk, and into a host's root.

pub mod debian;
pub mod disk;
pub mod host;
pub mod page;
