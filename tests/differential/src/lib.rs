// SPDX-License-Identifier: MIT OR Apache-2.0

//! Comparison of two VMMs: plays the same calls to both, without a guest, and explains every difference.
//!
//! QEMU's qtest makes an RTAS call in 50 microseconds. A [`sequence`] of random calls is played to two [`party`]s, and
//! their responses and events are compared step by step:
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
//! The modules are in the order in which data flows: the machine and its steps, sequences of steps, parties and their
//! answers, QEMU and the crate as parties, and the comparison.

#![forbid(unsafe_code)]

pub mod machine;
pub mod step;

pub mod sequence;
pub mod turn;

pub mod answer;
pub mod keeper;
pub mod party;

pub mod connection;
pub mod device_tree;
pub mod monitor;
pub mod program;
pub mod qtest;
pub mod rtas;
pub mod vmm;

pub mod in_process;

pub mod instructions;
pub mod large_dimm;
pub mod play;
pub mod processors;

pub mod spread;

pub mod account;
pub mod histories;
pub mod history;

pub mod clause;
pub mod compare;
pub mod tally;
