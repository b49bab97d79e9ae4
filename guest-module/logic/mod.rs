// SPDX-License-Identifier: GPL-2.0-only

//! Decisions of the module, in the order in which a removal passes through them.
//!
//! A request of the hypervisor comes to the [`request_queue`] with the token from the
//! [`event_log`]. The kernel's worker makes one [`removal`] after another. The [`tracker`] follows
//! it from when the kernel's work begins to when that ends, and collects [`observations`] of it.
//! [`outcome`] classifies the removal and names the [`cause`]. Requests for PCI devices are left to
//! user space, and the [`handover`] is followed. The answer is a [`notice`]: a report if [`arming`]
//! covers the class, else the hint of level 0 for a refusal at which the kernel was silent. A
//! notice goes through [`rtas`], or waits in the [`retry_queue`] while firmware is busy.
//! [`history`] and [`counters`] keep it as a [`refusal`], which is also a line of the kernel log.
//!
//! Nothing here knows the kernel: only `core` and the wire types are used, so that either build of
//! the module contains the same. Nothing sleeps, allocates or panics. The caller holds one lock
//! around each call, which is all the state there is (docs/adr/0003).

#![expect(
    clippy::new_without_default,
    reason = "large values are made in constants, where Default cannot be called"
)]

pub mod arming;
pub mod cause;
pub mod counters;
pub mod errno;
pub mod event_log;
pub mod handover;
pub mod history;
pub mod lmb_table;
pub mod notice;
pub mod observations;
pub mod outcome;
pub mod refusal;
pub mod removal;
pub mod request_queue;
pub mod retry_queue;
pub mod ring;
pub mod rtas;
pub mod tracker;
