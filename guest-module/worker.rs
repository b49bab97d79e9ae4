// SPDX-License-Identifier: GPL-2.0-only

//! A worker of the module's own, for what a probe must not do.
//!
//! The kernel crate's workqueues cannot be waited for, and work that outlives the module would run into freed code.

use crate::shim;
use core::{ffi::c_void, ptr::NonNull};
use kernel::{error::from_err_ptr, prelude::*, sync::Arc};

/// What a worker does each time it is woken.
pub(crate) trait Job: Send + Sync + 'static {
    /// Does it, in a task that may sleep, and never twice at the same time.
    fn run(&self);
}

/// A worker. Dropping it waits until the job is done that it was last woken for.
///
/// # Invariants
///
/// `raw` is a live worker whose context is `job`, which is kept alive by the reference that this owns.
pub(crate) struct Worker<J: Job> {
    raw: NonNull<shim::Worker>,
    job: Arc<J>,
}

// SAFETY: Workers belong to no task, and the job may be dropped anywhere.
unsafe impl<J: Job> Send for Worker<J> {}
// SAFETY: All that can be done through a shared reference is to wake it, which any number of tasks may do at once.
unsafe impl<J: Job> Sync for Worker<J> {}

impl<J: Job> Worker<J> {
    /// A worker for this job, asleep.
    pub(crate) fn new(job: Arc<J>) -> Result<Self> {
        let context: *const J = &*job;
        // SAFETY: `run` takes a `J`, which `context` points to and which lives until the worker is destroyed.
        let raw = from_err_ptr(unsafe { shim::papr_worker_create(run::<J>, context.cast_mut().cast()) })?;
        // INVARIANT: It was created just now with this job.
        Ok(Self { raw: NonNull::new(raw).ok_or(ENOMEM)?, job })
    }

    /// Has the job done once more. May be called in any context.
    pub(crate) fn wake(&self) {
        // SAFETY: By the type invariant it is alive.
        unsafe { shim::papr_worker_wake(self.raw.as_ptr()) };
    }

    /// The job.
    pub(crate) fn job(&self) -> &J {
        &self.job
    }
}

impl<J: Job> Drop for Worker<J> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is alive, and this is its end.
        unsafe { shim::papr_worker_destroy(self.raw.as_ptr()) };
    }
}

unsafe extern "C" fn run<J: Job>(job: *mut c_void) {
    // SAFETY: It is what `new` gave, and lives until the worker is destroyed.
    unsafe { &*job.cast::<J>() }.run();
}
