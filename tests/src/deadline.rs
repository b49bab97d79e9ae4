// SPDX-License-Identifier: MIT OR Apache-2.0

//! Deadlines of waits. They end tests whose machine hangs; no outcome depends on one.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Longest duration of one wait, unless [`be_patient`] says otherwise. A guest boots in 5 seconds; the rest is for a
/// debugging kernel on a busy machine, where `drmgr` takes more than 5 minutes to remove a PHB.
pub const PATIENCE: Duration = Duration::from_secs(900);

static SECONDS: AtomicU64 = AtomicU64::new(PATIENCE.as_secs());

/// Makes each wait of this process that begins later last up to `seconds`.
pub fn be_patient(seconds: u64) {
    SECONDS.store(seconds, Relaxed);
}

/// Returns the longest duration of one wait.
pub fn patience() -> Duration {
    Duration::from_secs(SECONDS.load(Relaxed))
}

/// End of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline that is [`patience()`] from now.
    pub fn start() -> Self {
        Self(Instant::now() + patience())
    }

    /// Returns the time that is left, or zero after the deadline.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
