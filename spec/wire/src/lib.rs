// SPDX-License-Identifier: MIT OR Apache-2.0

//! Wire format between a PAPR guest and its hypervisor when a device is removed, byte for byte.
//!
//! In the order of the data flow: the hypervisor makes a [`wire::offer`]; a [`wire::hotplug`] request travels in a
//! [`wire::section`], with its [`wire::token`]; the guest answers with a [`wire::report`] that has a [`wire::reason`],
//! by a call of [`wire::rtas`]. All name connectors by [`wire::drc`]. `spec/protocol.md` explains the conversation.
//!
//! The crate has no I/O, no allocation and no `unsafe`. A Linux kernel module compiles the same `wire/` directory, so
//! that nothing in there may depend on anything but `core`, zerocopy, and a macro `flags!` of either crate.
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
//!
//! // The guest refuses request 7, because a page of the LMB cannot be moved: one word for `set-indicator`.
//! use papr_unplug_wire::wire::{reason::Reason, report::{Errno, Report}, token::Token};
//! let refused = Report::Refused { token: Token(7), reason: Reason::UNMOVABLE_PAGE, errno: Errno(16) };
//! assert_eq!(refused.word().0, 0x8610_0007);
//! ```

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

// The wire's lists of flags are bitflags here; where the kernel compiles them, they are a macro of the module's.
macro_rules! flags {
    ($($list:tt)*) => {
        bitflags::bitflags! { $($list)* }
    };
}

pub mod wire;
