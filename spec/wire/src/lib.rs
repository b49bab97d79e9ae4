// SPDX-License-Identifier: MIT OR Apache-2.0

//! What crosses between a PAPR guest and its hypervisor when a device is taken away, byte for byte.
//!
//! [`wire::hotplug`] is what the hypervisor asks, [`wire::rtas`] is how the guest answers, and both name connectors by
//! [`wire::drc`]. The crate has no I/O, no allocation and no `unsafe`. A Linux kernel module compiles the very same
//! `wire/` directory, so nothing here may depend on anything but `core` and zerocopy.
//!
//! ```
//! use papr_unplug_wire::wire::hotplug::{Action, HotplugRequest, Resource, Target};
//! use papr_unplug_wire::wire::drc::DrcIndex;
//!
//! // QEMU asks for a DIMM of two LMBs at 2 GiB: resource 2, action 2, identifier 4 (indexed count).
//! let asked = HotplugRequest::from_bytes(&[2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8]).unwrap();
//! assert_eq!(asked.resource, Resource::MEMORY);
//! assert_eq!(asked.action, Action::REMOVE);
//! assert_eq!(asked.target(), Target::IndexedCount { count: 2, first: DrcIndex(0x8000_0008) });
//! ```

#![no_std]
#![forbid(unsafe_code)]

pub mod wire;
