// SPDX-License-Identifier: MIT OR Apache-2.0

//! Boots real guests in a real VMM, asks them to give devices back, and sees what the host is told.
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
//! Nothing here waits for a length of time to pass: every step waits for the event that ends it, and a [`deadline`] is
//! only there to turn a machine that hangs into a message. That a host is *not* told is shown by evidence, see
//! [`removal`].
//!
//! The modules, in the order that data flows: what is booted, the process and its three streams, what is read from
//! them, the devices and what keeps them busy, a removal and its outcome, the same through libvirt, and what is made of all
//! that.

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
pub mod observe;
pub mod removal;
pub mod trigger;

pub mod libvirt;
pub mod report;
pub mod soak;
pub mod story;
