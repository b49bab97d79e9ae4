// SPDX-License-Identifier: GPL-2.0-only

//! The kernel log.

use crate::{logic::line::Line, shim};
use core::{
    ffi::CStr,
    fmt::{Arguments, Write as _},
};

/// Something has failed.
pub(crate) fn error(text: Arguments<'_>) {
    write(c"\x013", text);
}

/// Something may have gone wrong.
pub(crate) fn warn(text: Arguments<'_>) {
    write(c"\x014", text);
}

/// Something is not as it could be.
pub(crate) fn notice(text: Arguments<'_>) {
    write(c"\x015", text);
}

/// Something happened.
pub(crate) fn info(text: Arguments<'_>) {
    write(c"\x016", text);
}

/// Writes a line at this level, one of the kernel's own `KERN_ERR` and so on. The room for the line is in the stack frame
/// of this function alone.
#[inline(never)]
fn write(level: &CStr, text: Arguments<'_>) {
    let mut line = Line::new();
    // It is cut if it is too long.
    let _ = line.write_fmt(text);
    let bytes = line.as_bytes();
    // SAFETY: Both strings are alive, the level has its end, and the line is as long as is said.
    unsafe { shim::papr_log(level.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
}
