// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conformance of any guest and any VMM, judged from outside.
//!
//! `spec/conformance.md` says what a guest and a VMM have to bring along. Neither is judged by what the other one does:
//!
//! - A guest boots in this project's QEMU, which traces the calls of the guest. A [`scenario`] asks it for devices, a
//!   [`transcript`] keeps what crosses the line, and the [`rules`] read it afterwards.
//! - A VMM runs without a guest. The [`conversations`] of `spec/vectors` are played to it by qtest and QMP.
//!
//! Both end in a [`verdict`] for each clause.

#![forbid(unsafe_code)]

pub mod clause;
pub mod verdict;

pub mod transcript;

pub mod bench;
pub mod contract;
pub mod scenario;
pub mod toy;
pub mod vm;

pub mod rules;

pub mod conversations;

pub mod judge;
