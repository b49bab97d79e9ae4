// SPDX-License-Identifier: GPL-2.0-only

//! A place for what lives from the module's loading to its unloading.

use core::cell::UnsafeCell;

/// Room for one value that does not move. Whoever uses it answers for the order.
pub(crate) struct Place<T>(UnsafeCell<Option<T>>);

// SAFETY: Every method that touches the value leaves it to its caller that nobody does so at the wrong time.
unsafe impl<T: Send + Sync> Sync for Place<T> {}

impl<T> Place<T> {
    /// An empty place.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Puts the value there.
    ///
    /// # Safety
    ///
    /// Nobody else uses the place at the same time.
    pub(crate) unsafe fn fill(&self, value: T) {
        // SAFETY: By the contract of this function, there is no other reference to what is inside.
        unsafe { *self.0.get() = Some(value) };
    }

    /// The value, if it is there.
    ///
    /// # Safety
    ///
    /// It is not put there or taken away while the reference is used.
    pub(crate) unsafe fn get(&self) -> Option<&T> {
        // SAFETY: By the contract of this function, nobody changes what is inside.
        unsafe { &*self.0.get() }.as_ref()
    }

    /// Takes the value away, if it is there.
    ///
    /// # Safety
    ///
    /// Nobody else uses the place at the same time.
    pub(crate) unsafe fn take(&self) -> Option<T> {
        // SAFETY: By the contract of this function, there is no other reference to what is inside.
        unsafe { &mut *self.0.get() }.take()
    }
}
