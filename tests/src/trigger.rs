// SPDX-License-Identifier: MIT OR Apache-2.0

//! Causes of refusals: busy memory, faults in the kernel, an obstacle in the device tree, programs that have a function open,
//! and removals by the guest's
//! administrator.

pub mod administrator;
pub mod busy;
pub mod device_tree;
pub mod fault;
pub mod probes;
pub mod vfio;
