// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory of the caller's. NULL says that there is none.

use std::ptr;

/// Writes one value, unless the caller does not want it.
///
/// # Safety
/// `out` is NULL or can be written to.
pub(crate) unsafe fn tell<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: it can be written to, by this function's contract.
        unsafe { out.write(value) };
    }
}

/// Writes as many of the values as there is room for.
///
/// # Safety
/// `buffer` is NULL or has room for `room` values.
pub(crate) unsafe fn fill<T: Copy>(buffer: *mut T, room: usize, values: &[T]) {
    if !buffer.is_null() {
        // SAFETY: no more than `room` values are written; what the caller lends does not overlap what this library owns.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), buffer, values.len().min(room)) };
    }
}

/// The caller's bytes.
///
/// # Safety
/// `start` is NULL, or `length` bytes can be read there for as long as the result is used.
pub(crate) unsafe fn bytes<'a>(start: *const u8, length: usize) -> &'a [u8] {
    if start.is_null() || length > isize::MAX.cast_unsigned() {
        return &[];
    }
    // SAFETY: they can be read, by this function's contract, and no object is larger than `isize::MAX`.
    unsafe { std::slice::from_raw_parts(start, length) }
}
