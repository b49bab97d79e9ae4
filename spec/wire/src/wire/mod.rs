// SPDX-License-Identifier: MIT OR Apache-2.0

//! Wire format, in the order of the data flow: connector, offer, request of the hypervisor, report of the guest.

pub mod drc;
pub mod token;

pub mod offer;

pub mod hotplug;
pub mod section;

pub mod reason;
pub mod report;
pub mod rtas;
