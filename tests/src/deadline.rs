// SPDX-License-Identifier: MIT OR Apache-2.0

//! When a wait is given up: for machines that hang, never for telling one outcome from another.

use std::time::{Duration, Instant};

/// How long one wait may take. A guest boots in 5 seconds; this allows for a debug kernel on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The end of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// [`PATIENCE`] from now.
    pub fn start() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// What is left of it, zero when it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
