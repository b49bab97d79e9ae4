// SPDX-License-Identifier: MIT OR Apache-2.0

//! Causes of refusals: memory that is kept busy, faults in the kernel, and removals that the guest's administrator asks for.

pub mod administrator;
pub mod busy;
pub mod fault;
