// SPDX-License-Identifier: MIT OR Apache-2.0

//! libvirt, through which most users ask: a real daemon, which a test has for itself.

pub mod daemon;
pub mod domain;
pub mod events;
