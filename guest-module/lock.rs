// SPDX-License-Identifier: GPL-2.0-only

//! Lock around the state of the module: the raw spinlock of `shim.c`.
//!
//! Probes take it in any context but NMI, also in interrupts and under a lock of the workqueue, so
//! it disables interrupts. Under it, RTAS may be called, but no work may be queued: the order is
//! the workqueue's lock, then this one, then the one around RTAS.

use crate::bindings;
use core::cell::UnsafeCell;

/// A value that is used only under the lock.
pub(crate) struct IrqLock<T>(UnsafeCell<T>);

// SAFETY: The value is used by one CPU at a time.
unsafe impl<T: Send> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// Puts a value under the lock.
    ///
    /// # Safety
    ///
    /// No other `IrqLock` exists, because there is one lock.
    pub(crate) const unsafe fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Calls a function with the value, under the lock. The function must not call this again.
    pub(crate) fn with<R>(&self, call: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: By the contract of this function, this CPU does not hold the lock.
        let flags = unsafe { bindings::papr_lock() };
        // SAFETY: The lock is held, and it is the only way to the value.
        let result = call(unsafe { &mut *self.0.get() });
        // SAFETY: The lock was taken above, and this is what that returned.
        unsafe { bindings::papr_unlock(flags) };
        result
    }
}
