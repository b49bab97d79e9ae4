// SPDX-License-Identifier: MIT OR Apache-2.0

//! libvirt: a daemon of its own for each test, a domain, and the events that libvirt passes on.

pub mod daemon;
pub mod domain;
pub mod events;
pub mod refusals;
