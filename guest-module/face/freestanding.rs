// SPDX-License-Identifier: GPL-2.0-only

//! The face that the module shows to kernels without `CONFIG_RUST`: two functions that `freestanding.c` calls as it is
//! loaded and unloaded. All that this object takes of the kernel it takes through the shim, so it is compiled once for all
//! kernels.

use crate::{errno::Errno, log};
use core::{ffi::c_int, panic::PanicInfo};

extern "C" {
    /// `BUG()`
    fn papr_bug() -> !;
}

#[no_mangle]
extern "C" fn papr_load() -> c_int {
    // SAFETY: The kernel calls this once, before anything else of the module.
    match unsafe { crate::load() } {
        Ok(()) => 0,
        Err(Errno(number)) => number,
    }
}

#[no_mangle]
extern "C" fn papr_unload() {
    // SAFETY: The kernel calls this once, after the module was loaded and after everything else of it.
    unsafe { crate::unload() };
}

/// As the kernel crate does: the kernel says where, and ends what it was doing.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log::error(format_args!("{info}"));
    // SAFETY: It may be called anywhere, and does not return.
    unsafe { papr_bug() }
}
