// SPDX-License-Identifier: MIT OR Apache-2.0

//! Plays the same calls to two VMMs, without a guest, and explains every difference.
//!
//! QEMU's qtest makes RTAS calls without a guest, fifty microseconds each. So a [`sequence`] of calls that no guest would
//! make, and many that one would, can be played to two [`party`]s at a time, and what they answer and tell the host
//! compared, step by step:
//!
//! ```no_run
//! use papr_unplug_differential::{party::Party as _, program::Program, step::Step, vmm::Vmm};
//!
//! let mut vmm = Vmm::start(&Program::stock()?)?;
//! let answer = vmm.play(&Step::Unisolate(0x1000_0001))?;
//! println!("{answer}");
//! # anyhow::Ok(())
//! ```
//!
//! The modules, in the order that data flows: the machine and what can be done to it, how such steps are strung together,
//! who answers them, the VMM as one who does, and what is made of two answers that differ.

#![forbid(unsafe_code)]

pub mod machine;
pub mod step;

pub mod sequence;

pub mod answer;
pub mod party;

pub mod connection;
pub mod monitor;
pub mod program;
pub mod qtest;
pub mod rtas;
pub mod vmm;

pub mod in_process;

pub mod large_dimm;
pub mod play;
pub mod processors;

pub mod clause;
pub mod compare;
pub mod tally;
