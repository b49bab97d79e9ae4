// SPDX-License-Identifier: MIT OR Apache-2.0

//! Deadlines of waits. They end tests whose machine hangs; no outcome depends on one.

use std::time::{Duration, Instant};

/// Longest duration of one wait. A guest boots in 5 seconds; the rest is for a debugging kernel on a busy machine, where
/// `drmgr` takes more than 5 minutes to remove a PHB.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// End of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline that is [`PATIENCE`] from now.
    pub fn start() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// Returns the time that is left, or zero after the deadline.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
