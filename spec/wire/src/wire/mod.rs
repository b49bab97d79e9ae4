// SPDX-License-Identifier: MIT OR Apache-2.0

//! The wire, in the order that data flows: the connector, what the hypervisor offers, its request, the guest's report.

pub mod drc;
pub mod token;

pub mod offer;

pub mod hotplug;
pub mod section;

pub mod reason;
pub mod report;
pub mod rtas;
