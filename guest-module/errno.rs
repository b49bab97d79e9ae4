// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's error numbers.

use core::{ffi::c_int, fmt};

/// Why something failed: a negative number, as the kernel's functions return it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

impl Errno {
    /// There is no such thing.
    pub(crate) const ENOENT: Self = Self(-2);
    /// This machine has not what the module is for.
    pub(crate) const ENODEV: Self = Self(-19);
    /// This kernel has not what the module needs.
    pub(crate) const EOPNOTSUPP: Self = Self(-95);

    /// Reads what a function of the kernel returned.
    pub(crate) fn check(returned: c_int) -> Result<(), Self> {
        if returned < 0 {
            Err(Self(returned))
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.0)
    }
}
