// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why a call failed.

use crate::machine::{Absent, PaprUnplug, enter};
use papr_unplug::{RequestError, TopologyError, foreign::ImportError, snapshot::RestoreError};
use std::ffi::{CString, c_char, c_int};

/// What a function that returns `int` returns when it fails. papr_unplug_error() says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugError {
    /// NULL where there must be something, or a number that means nothing.
    Argument = -1,
    /// This library had a fault and the machine can no longer be used; see "Faults" at the top of this file.
    Fault = -2,
    /// LoPAR knows no connectors for this resource.
    UnknownResource = -3,
    /// A connector with this index was added before.
    ConnectorExists = -4,
    /// No connector has this index.
    NoSuchConnector = -5,
    /// There is a device behind this connector already.
    Occupied = -6,
    /// The connectors of one device connect different resources.
    MixedResources = -7,
    /// There is no device at this connector.
    NoSuchDevice = -8,
    /// As many requests are open as this machine takes.
    TooMany = -9,
    /// The connector has no such state.
    BadState = -10,
    /// The saved state is cut off, not consistent, or something else altogether.
    BadSave = -11,
    /// The state was saved by a version that this one does not know.
    UnknownVersion = -12,
    /// The machine that was saved has other devices than this one.
    OtherMachine = -13,
    /// The guest was offered reports, and this machine takes none.
    ReportsNotTaken = -14,
}

/// Why a call failed, for the program and for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    error: PaprUnplugError,
    text: String,
}

impl Failure {
    /// A failure of the caller's.
    pub(crate) fn argument(text: &str) -> Self {
        Self { error: PaprUnplugError::Argument, text: text.to_owned() }
    }
}

impl PaprUnplug {
    /// Keeps the words of a failure; what is returned is its number.
    pub(crate) fn answer(&mut self, result: Result<c_int, Failure>) -> c_int {
        result.unwrap_or_else(|failure| {
            self.failure = CString::new(failure.text).unwrap_or_default();
            failure.error as c_int
        })
    }
}

impl Absent {
    /// What a function that returns `int` returns.
    pub(crate) fn code(self) -> c_int {
        match self {
            Self::Null => PaprUnplugError::Argument as c_int,
            Self::Broken => PaprUnplugError::Fault as c_int,
        }
    }
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Self {
        let code = match error {
            TopologyError::UnknownResource(_) => PaprUnplugError::UnknownResource,
            TopologyError::ConnectorExists(_) => PaprUnplugError::ConnectorExists,
            TopologyError::NoSuchConnector(_) => PaprUnplugError::NoSuchConnector,
            TopologyError::Occupied(_) => PaprUnplugError::Occupied,
            TopologyError::MixedResources(_) => PaprUnplugError::MixedResources,
            TopologyError::TooManyConnectors => PaprUnplugError::TooMany,
            _ => PaprUnplugError::Argument,
        };
        Self { error: code, text: error.to_string() }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let code = match error {
            RequestError::NoSuchDevice(_) => PaprUnplugError::NoSuchDevice,
            RequestError::TooMany(_) | RequestError::TooManyOfDevice(..) => PaprUnplugError::TooMany,
            _ => PaprUnplugError::Argument,
        };
        Self { error: code, text: error.to_string() }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let code = match error {
            ImportError::NoDevice(_) => PaprUnplugError::NoSuchDevice,
            ImportError::BadState(..) => PaprUnplugError::BadState,
            ImportError::TooMany(_) => PaprUnplugError::TooMany,
            _ => PaprUnplugError::Argument,
        };
        Self { error: code, text: error.to_string() }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let code = match error {
            RestoreError::UnknownVersion(_) => PaprUnplugError::UnknownVersion,
            RestoreError::ReportsNotTaken => PaprUnplugError::ReportsNotTaken,
            RestoreError::OtherNumberOfDevices(..) | RestoreError::OtherDevice(_) => PaprUnplugError::OtherMachine,
            RestoreError::TooManyRequests(..) => PaprUnplugError::TooMany,
            _ => PaprUnplugError::BadSave,
        };
        Self { error: code, text: error.to_string() }
    }
}

/// Says in words why the last call that returned a PaprUnplugError did so.
///
/// The text is lower-case and without a full stop; it names the connector or the number that is wrong, and what to do about
/// it. It is valid until the next call with this machine. Empty if no call has failed; never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_error(machine: *mut PaprUnplug) -> *const c_char {
    // SAFETY: the contract at the top of the header.
    let text = unsafe { enter(machine, |machine| machine.failure.as_ptr()) };
    text.unwrap_or_else(|absent| match absent {
        Absent::Null => c"no machine was given".as_ptr(),
        Absent::Broken => c"papr-unplug had a fault before; this machine can only be freed".as_ptr(),
    })
}
