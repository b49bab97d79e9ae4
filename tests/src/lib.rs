// SPDX-License-Identifier: MIT OR Apache-2.0

//! Test bed: boots real guests in a real VMM, requests devices back, and checks what the host is told.
//!
//! A test is a [`story`]:
//!
//! ```no_run
//! use papr_unplug_tests::{device::dimm::TWO_LMBS, pairing::Pairing, removal::Outcome, story::story};
//!
//! story(Pairing::OURS_ON_STOCK, |vm| {
//!     let dimm = vm.plug_dimm(TWO_LMBS)?;
//!     vm.veto_offlining()?;
//!     assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
//!     vm.allow_offlining()?;
//!     assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
//!     Ok(())
//! });
//! ```
//!
//! No test waits for a length of time: every step waits for the event that ends it, and a [`deadline`] only turns a
//! machine that hangs into a message. [`removal`] says how the absence of an event is shown.
//!
//! The modules, in the order in which data flows: artifacts and pairings; streams; the VMM, the guest, and both as a
//! VM; devices, removals, and causes of refusals; observations of the guest's kernel; libvirt; an installed Debian; and
//! the reports, soak tests and stories that are made of these.

#![forbid(unsafe_code)]

pub mod artifacts;
pub mod cpio;
pub mod pairing;

pub mod deadline;
pub mod dice;
pub mod stream;

pub mod guest;
pub mod vm;
pub mod vmm;

pub mod device;
pub mod removal;
pub mod trigger;

pub mod observe;

pub mod libvirt;
pub mod newcomer;

pub mod report;
pub mod soak;
pub mod story;
