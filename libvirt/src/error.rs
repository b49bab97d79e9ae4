// SPDX-License-Identifier: MIT OR Apache-2.0

//! Failure of a call to libvirt.

use crate::library::Library;
use std::{ffi::CStr, io};
use thiserror::Error;

/// Failure of a call to libvirt.
#[derive(Debug, Error)]
pub enum Error {
    /// The client library cannot be loaded.
    #[error(
        "libvirt's client library (4.4 or newer) cannot be loaded: install libvirt0 (Debian, Ubuntu) or libvirt-libs \
         (Fedora, RHEL)"
    )]
    Missing(#[source] libloading::Error),
    /// libvirt returns an error.
    #[error("{message}")]
    Returned {
        /// `virErrorNumber`.
        code: i32,
        /// Text for people.
        message: String,
    },
    /// A name has a null byte in it, which libvirt cannot take.
    #[error("the name has a null byte in it")]
    Unnameable,
    /// The thread of the event loop cannot be started.
    #[error("cannot start a thread for libvirt's events")]
    NoThread(#[source] io::Error),
}

/// `VIR_ERR_INVALID_ARG`: among others, a flag that the daemon does not know.
const INVALID_ARGUMENT: i32 = 8;
/// `VIR_ERR_NO_DOMAIN`.
const NO_DOMAIN: i32 = 42;
/// `VIR_ERR_OPERATION_TIMEOUT`: libvirt has waited too long for the guest, or for another client's request.
const OPERATION_TIMEOUT: i32 = 68;
/// `VIR_ERR_DEVICE_MISSING`.
const DEVICE_MISSING: i32 = 99;

impl Error {
    /// Returns the error of the latest call of this thread.
    pub(crate) fn latest(library: &Library) -> Self {
        // SAFETY: the function takes nothing, and its result is this thread's own.
        let code = unsafe { (library.virGetLastErrorCode)() };
        // SAFETY: the function takes nothing.
        let message = unsafe { (library.virGetLastErrorMessage)() };
        // SAFETY: the function returns a string that lasts until this thread's next call to libvirt.
        let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
        Self::Returned { code, message }
    }

    /// Returns whether the domain does not exist.
    pub fn is_no_domain(&self) -> bool {
        self.is(NO_DOMAIN)
    }

    /// Returns whether the domain has no device of that name.
    pub fn is_no_device(&self) -> bool {
        self.is(DEVICE_MISSING)
    }

    /// Returns whether libvirt has stopped waiting: for the guest, or for another client's request.
    pub fn is_timeout(&self) -> bool {
        self.is(OPERATION_TIMEOUT)
    }

    /// Returns whether this daemon may not know a flag, or a name cannot be one.
    pub(crate) fn is_invalid_argument(&self) -> bool {
        self.is(INVALID_ARGUMENT)
    }

    fn is(&self, expected: i32) -> bool {
        matches!(self, Self::Returned { code, .. } if *code == expected)
    }
}
