// SPDX-License-Identifier: MIT OR Apache-2.0

//! The wire, in the order that data flows: a connector, the request for it, the guest's answer.

pub mod drc;
pub mod hotplug;
pub mod rtas;
