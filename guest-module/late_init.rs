// SPDX-License-Identifier: GPL-2.0-only

//! Static value that exists from when the module is loaded until it is unloaded.

use core::cell::UnsafeCell;

/// Room for one value that does not move. Its callers keep the order of its uses.
pub(crate) struct LateInit<T>(UnsafeCell<Option<T>>);

// SAFETY: The callers of the methods ensure that none changes the value while another uses it.
unsafe impl<T: Send + Sync> Sync for LateInit<T> {}

impl<T> LateInit<T> {
    /// Returns room without a value.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Stores a value.
    ///
    /// # Safety
    ///
    /// Nothing else uses the room at the same time.
    pub(crate) unsafe fn fill(&self, value: T) {
        // SAFETY: By the contract of this function, there is no other reference to the value.
        unsafe { *self.0.get() = Some(value) };
    }

    /// Returns the value, if there is one.
    ///
    /// # Safety
    ///
    /// The value is neither stored nor removed while the reference is used.
    pub(crate) unsafe fn get(&self) -> Option<&T> {
        // SAFETY: By the contract of this function, nothing changes the value.
        unsafe { &*self.0.get() }.as_ref()
    }

    /// Removes the value, if there is one.
    ///
    /// # Safety
    ///
    /// Nothing else uses the room at the same time.
    pub(crate) unsafe fn take(&self) -> Option<T> {
        // SAFETY: By the contract of this function, there is no other reference to the value.
        unsafe { &mut *self.0.get() }.take()
    }
}
