// SPDX-License-Identifier: MIT OR Apache-2.0

//! Access to memory of the caller. A NULL pointer stands for no memory.

use std::{mem::MaybeUninit, ptr, slice};

/// Structure of the C ABI that only holds integers, so that any bytes are a value of it.
///
/// # Safety
/// The type is `repr(C)`, and every bit pattern is a value of it.
pub(crate) unsafe trait Integers: Copy {}

/// Writes one value.
///
/// # Safety
/// `out` is NULL or can be written to.
pub(crate) unsafe fn tell<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: it can be written to, by this function's contract.
        unsafe { out.write(value) };
    }
}

/// Writes a structure that is `size` bytes long for the caller: no more than that, and zeros where the caller's is
/// longer.
///
/// # Safety
/// `out` is NULL or `size` bytes can be written there.
pub(crate) unsafe fn tell_sized<T: Copy>(out: *mut T, size: usize, value: &T) {
    // SAFETY: one structure of `size` bytes is a sequence of one.
    unsafe { fill_sized(out, size, 1, slice::from_ref(value)) };
}

/// Writes as many structures as there is room for, each `size` bytes long for the caller.
///
/// # Safety
/// `out` is NULL, or `room` times `size` bytes can be written there.
pub(crate) unsafe fn fill_sized<T: Copy>(out: *mut T, size: usize, room: usize, values: &[T]) {
    if out.is_null() {
        return;
    }
    for (at, value) in values.iter().take(room).enumerate() {
        // SAFETY: `at` is less than `room`, so that `size` bytes from here on can be written.
        let place = unsafe { out.cast::<u8>().add(at.saturating_mul(size)) };
        // SAFETY: as above.
        unsafe { ptr::write_bytes(place, 0, size) };
        let known = size.min(size_of::<T>());
        // SAFETY: as above; the value is as long, and does not overlap what the caller lends.
        unsafe { ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), place, known) };
    }
}

/// Reads a structure that is `size` bytes long for the caller. Members that the caller does not have are zero. Returns
/// `None` for NULL.
///
/// # Safety
/// `from` is NULL or `size` bytes can be read there.
pub(crate) unsafe fn read_sized<T: Integers>(from: *const T, size: usize) -> Option<T> {
    if from.is_null() {
        return None;
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: both are at least as long, and one is the caller's and the other is ours.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known) };
    // SAFETY: every bit pattern is a value, by the trait's contract.
    Some(unsafe { value.assume_init() })
}

/// Writes as many bytes as there is room for.
///
/// # Safety
/// `buffer` is NULL or has room for `room` bytes.
pub(crate) unsafe fn fill(buffer: *mut u8, room: usize, values: &[u8]) {
    if !buffer.is_null() {
        // SAFETY: no more than `room` bytes are written; what the caller lends does not overlap what this library owns.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), buffer, values.len().min(room)) };
    }
}

/// Returns values of the caller; none for NULL.
///
/// # Safety
/// `start` is NULL, or `count` values can be read there for as long as the result is used.
pub(crate) unsafe fn values<'a, T: Copy>(start: *const T, count: usize) -> &'a [T] {
    let length = count.checked_mul(size_of::<T>());
    if start.is_null() || length.is_none_or(|length| isize::try_from(length).is_err()) {
        return &[];
    }
    // SAFETY: they can be read, by this function's contract, and no object is larger than `isize::MAX`.
    unsafe { slice::from_raw_parts(start, count) }
}
