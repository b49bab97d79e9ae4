// SPDX-License-Identifier: GPL-2.0-only

//! Entry points of the standalone build, for kernels without `CONFIG_RUST`: two functions that
//! `standalone.c` calls. What the kernel crate offers to the other build is made up for here.
//!
//! The object reaches the kernel through the C part only, so it is compiled once for all kernels.

#[path = "standalone_error.rs"]
mod error;
#[path = "standalone_files.rs"]
mod files;
#[path = "line.rs"]
mod line;

pub(crate) use self::error::{to_result, Error, ENODEV, ENOENT, ENOMEM, EOPNOTSUPP};

use self::line::Line;
use crate::log::Level;
use core::{
    ffi::{c_char, c_int},
    fmt::{Arguments, Write as _},
    panic::PanicInfo,
};

extern "C" {
    /// `BUG()`
    fn papr_bug() -> !;
    fn papr_log(level: *const c_char, line: *const c_char, length: usize);
}

#[no_mangle]
extern "C" fn papr_load() -> c_int {
    // SAFETY: The kernel calls this once, before anything else of the module.
    match unsafe { crate::load() } {
        Ok(()) => {
            files::create();
            0
        }
        Err(error) => error.to_errno(),
    }
}

#[no_mangle]
extern "C" fn papr_unload() {
    files::remove();
    // SAFETY: The kernel calls this once, after the module was loaded and everything else ended.
    unsafe { crate::unload() };
}

/// Writes a line to the kernel log. The buffer for the line is in the stack frame of this function
/// alone.
#[inline(never)]
pub(crate) fn log(level: Level, text: Arguments<'_>) {
    let level = match level {
        Level::Error => c"\x013",
        Level::Warning => c"\x014",
        Level::Notice => c"\x015",
        Level::Info => c"\x016",
    };
    let mut line = Line::default();
    // A line that is too long is cut.
    let _ = line.write_fmt(text);
    let bytes = line.as_bytes();
    // SAFETY: Both strings are alive, the level ends with NUL, and the line has this length.
    unsafe { papr_log(level.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
}

/// Logs the panic and calls `BUG()`, as the kernel crate does.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log(Level::Error, format_args!("{info}"));
    // SAFETY: The function may be called in any context, and does not return.
    unsafe { papr_bug() }
}
