// SPDX-License-Identifier: GPL-2.0-only

//! Queue of notices that have not been delivered, in the order in which they were decided.

use super::{notice::Notice, ring::Ring};

/// The number of notices that can wait. More than one waits only if firmware is busy.
pub const CAPACITY: usize = 64;

/// The queue. A notice stays in it until all of it is delivered, so that none overtakes another.
pub type RetryQueue = Ring<Notice>;
