// SPDX-License-Identifier: MIT OR Apache-2.0

//! Causes of refusals: busy memory, faults in the kernel, and removals by the guest's administrator.

pub mod administrator;
pub mod busy;
pub mod fault;
pub mod probes;
