// SPDX-License-Identifier: GPL-2.0-only

//! Error of a kernel function, with the names of the kernel crate.

use crate::logic::errno;
use core::ffi::c_int;

/// An error: a negative errno, as the kernel's functions return it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error(c_int);

/// No such symbol.
pub(crate) const ENOENT: Error = Error(-2);
/// Out of memory.
pub(crate) const ENOMEM: Error = Error(errno::ENOMEM);
/// A machine that lacks what the module is for.
pub(crate) const ENODEV: Error = Error(errno::ENODEV);
/// A kernel that lacks what the module needs.
pub(crate) const EOPNOTSUPP: Error = Error(errno::EOPNOTSUPP);

impl Error {
    /// Returns the negative errno.
    pub(crate) fn to_errno(self) -> c_int {
        self.0
    }
}

/// Converts what a function of the kernel returned.
pub(crate) fn to_result(returned: c_int) -> Result<(), Error> {
    if returned < 0 {
        Err(Error(returned))
    } else {
        Ok(())
    }
}
