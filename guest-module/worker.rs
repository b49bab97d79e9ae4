// SPDX-License-Identifier: GPL-2.0-only

//! Worker of the module, for what a probe must not do.
//!
//! The kernel crate's workqueues cannot be flushed, and work that is still queued when the module
//! is unloaded would run into freed code.

use crate::{
    bindings,
    entry::{to_result, Error},
};

/// Job of the worker, done each time it is woken.
pub(crate) trait Job: 'static {
    /// Does the job, in a task that may sleep, and never twice at the same time.
    fn run();
}

/// The worker. Dropping it waits until the job is done for which it was last woken.
///
/// # Invariants
///
/// The worker was started, and there is no other one.
pub(crate) struct Worker(());

impl Worker {
    /// Starts the worker, which sleeps.
    ///
    /// # Safety
    ///
    /// No other worker exists.
    pub(crate) unsafe fn start<J: Job>() -> Result<Self, Error> {
        // SAFETY: By the contract of this function there is no other worker, and `run` is static.
        to_result(unsafe { bindings::papr_worker_start(run::<J>) })?;
        // INVARIANT: It was started above, and there is no other one.
        Ok(Self(()))
    }

    /// Waits until the job is done for which the worker was last woken. Sleeps.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariant it was started and not stopped.
        unsafe { bindings::papr_worker_flush() };
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it was started, and it is stopped only here.
        unsafe { bindings::papr_worker_stop() };
    }
}

/// Wakes the worker. May be called in any context, but not under the module's lock.
///
/// # Safety
///
/// The worker exists.
pub(crate) unsafe fn wake() {
    // SAFETY: By the contract of this function it was started and not stopped.
    unsafe { bindings::papr_worker_wake() };
}

unsafe extern "C" fn run<J: Job>() {
    J::run();
}
