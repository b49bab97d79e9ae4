// SPDX-License-Identifier: GPL-2.0-only

//! Memory for the queues, allocated when the module is loaded.

use crate::{
    bindings,
    entry::{Error, ENOMEM},
};
use core::{mem::align_of, ptr::NonNull, slice};

/// Memory for a number of items, freed when this is dropped.
///
/// # Invariants
///
/// `items` points to `count` items that are initialised and were allocated together.
pub(crate) struct Room<T> {
    items: NonNull<T>,
    count: usize,
}

// SAFETY: The memory belongs to no task.
unsafe impl<T: Send> Send for Room<T> {}
// SAFETY: A shared reference gives no access to the items.
unsafe impl<T: Sync> Sync for Room<T> {}

impl<T: Copy> Room<T> {
    /// Allocates memory for `count` items, which become `item`. Sleeps.
    pub(crate) fn allocate(count: usize, item: T) -> Result<Self, Error> {
        const { assert!(align_of::<T>() <= align_of::<u64>()) };
        // SAFETY: The function may be called in any task that may sleep.
        let memory = unsafe { bindings::papr_allocate(count, size_of::<T>()) };
        let items = NonNull::new(memory.cast::<T>()).ok_or(ENOMEM)?;
        for nth in 0..count {
            // SAFETY: The memory is large enough for `count` items.
            let place = unsafe { items.add(nth) };
            // SAFETY: The memory was allocated for this item, and the kernel aligns it for a `u64`.
            unsafe { place.write(item) };
        }
        // INVARIANT: The items were allocated and initialised above.
        Ok(Self { items, count })
    }

    /// Returns the items.
    ///
    /// # Safety
    ///
    /// The function is called once, and the items are not used after `self` is dropped.
    pub(crate) unsafe fn items(&self) -> &'static mut [T] {
        // SAFETY: By the type invariant the items are initialised, and by the contract of this
        // function there is no other reference to them.
        unsafe { slice::from_raw_parts_mut(self.items.as_ptr(), self.count) }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory was allocated, and it is freed only here.
        unsafe { bindings::papr_free(self.items.as_ptr().cast()) };
    }
}
