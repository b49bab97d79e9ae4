// SPDX-License-Identifier: GPL-2.0-only

//! What the module decides, in the order that a removal passes through it. Only `core` and the wire types: nothing in
//! this directory knows the kernel, so any face of the module can be built around it.
//!
//! The hypervisor's requests come to [`arrivals`] with the token that stands in the [`event_log`], and the kernel tries
//! them one after another, in the worker of an ordered workqueue. [`watch`] follows one such [`attempt`] from when its work
//! begins to when that has been done, and gathers the [`clues`] to what became of it and why; [`verdict`] judges, and names the [`cause`]. What is
//! to be told is a [`parcel`]: a report if the class is [`arming`]'s, else the hint of level 0 for a refusal that the
//! kernel kept to itself. It goes through [`rtas`], or waits in the [`outbox`]. The [`journal`] and [`counters`] remember
//! it as a [`refusal`], which is also a [`line`] of the kernel log.
//!
//! Everything here runs with preemption off, as part of a probe or tracepoint, unless it says otherwise: nothing sleeps, allocates,
//! locks or panics. Words that more than one CPU may see are atomics of `core`, because the kernel's own are not to be
//! had on a kernel without `CONFIG_RUST`.

#![expect(
    clippy::new_without_default,
    reason = "what is large is made at compile time, where Default is not to be had"
)]

pub mod arming;
pub mod arrivals;
pub mod attempt;
pub mod cause;
pub mod clues;
pub mod counters;
pub mod event_log;
pub mod journal;
pub mod line;
pub mod outbox;
pub mod parcel;
pub mod refusal;
pub mod rtas;
pub mod verdict;
pub mod watch;
