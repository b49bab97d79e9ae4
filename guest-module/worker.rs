// SPDX-License-Identifier: GPL-2.0-only

//! The module's own worker, for what a probe must not do.
//!
//! It is not one of the kernel crate's workqueues: these cannot be waited for, and work that outlives the module would run
//! into freed code.

use crate::{errno::Errno, shim};

/// What the worker does each time it is woken.
pub(crate) trait Job: 'static {
    /// Does it, in a task that may sleep, and never twice at the same time.
    fn run();
}

/// The worker, at work for as long as this lives. Dropping it waits until the job is done that it was last woken for.
///
/// # Invariants
///
/// There is only one of it, and it was started.
pub(crate) struct Worker(());

impl Worker {
    /// Starts the worker, asleep.
    ///
    /// # Safety
    ///
    /// There is no other one.
    pub(crate) unsafe fn start<J: Job>() -> Result<Self, Errno> {
        // SAFETY: By the contract of this function there is no other worker, and `run` may be called for ever.
        Errno::check(unsafe { shim::papr_worker_start(run::<J>) })?;
        // INVARIANT: It was started just now, as the only one.
        Ok(Self(()))
    }
}

impl Worker {
    /// Waits until the job is done that it was last woken for. Sleeps.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariant it was started and not stopped.
        unsafe { shim::papr_worker_flush() };
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it was started, and this is its end.
        unsafe { shim::papr_worker_stop() };
    }
}

/// Has the worker do its job once more. May be called in any context.
///
/// # Safety
///
/// The worker lives.
pub(crate) unsafe fn wake() {
    // SAFETY: By the contract of this function it was started and not stopped.
    unsafe { shim::papr_worker_wake() };
}

unsafe extern "C" fn run<J: Job>() {
    J::run();
}
