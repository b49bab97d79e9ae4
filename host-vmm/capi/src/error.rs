// SPDX-License-Identifier: MIT OR Apache-2.0

//! Errors of calls.

use crate::{
    handle::{Absent, PaprUnplug, enter},
    incoming::LoadError,
};
use papr_unplug::{RequestError, TopologyError, foreign::ImportError, snapshot::RestoreError};
use std::ffi::{CString, c_char, c_int};

/// Result of a function that returns `int` and fails. papr_unplug_error() explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugError {
    /// NULL where NULL is not allowed, or a number without a meaning.
    Argument = -1,
    /// A fault of this library. The machine can only be freed; see "Faults" at the top.
    Fault = -2,
    /// LoPAR knows no connectors for this resource.
    UnknownResource = -3,
    /// A connector with this index exists.
    ConnectorExists = -4,
    /// No connector has this index.
    NoSuchConnector = -5,
    /// A device is behind this connector.
    Occupied = -6,
    /// The connectors of one device connect different resources.
    MixedResources = -7,
    /// No device is behind this connector.
    NoSuchDevice = -8,
    /// The machine takes no more connectors or open requests.
    TooMany = -9,
    /// The connector has no such state.
    BadState = -10,
    /// The saved state is cut off, not consistent, or no saved state.
    BadSave = -11,
    /// A version that this library does not know saved the state.
    UnknownVersion = -12,
    /// The saved machine has other devices than this one.
    OtherMachine = -13,
    /// The guest was offered reports, and this machine takes none.
    ReportsNotTaken = -14,
    /// No open request has this id.
    NoSuchRequest = -15,
}

/// Failure of a call, for the program and for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    error: PaprUnplugError,
    text: String,
}

impl Failure {
    /// Returns the failure of a call with an argument that is not allowed.
    pub(crate) fn argument(text: &str) -> Self {
        Self { error: PaprUnplugError::Argument, text: text.to_owned() }
    }
}

impl PaprUnplug {
    /// Keeps the text of a failure. Returns its number.
    pub(crate) fn answer(&mut self, result: Result<c_int, Failure>) -> c_int {
        result.unwrap_or_else(|failure| {
            self.failure = CString::new(failure.text).unwrap_or_default();
            failure.error as c_int
        })
    }
}

impl Absent {
    /// Returns the result of a function that returns `int`.
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
            RequestError::NoSuchRequest(_) => PaprUnplugError::NoSuchRequest,
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

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Import(error) => error.into(),
            LoadError::Restore(error) => error.into(),
        }
    }
}

/// Returns the text of the last failure of a call with this machine.
///
/// The text is lower-case and without a full stop. It names the connector or number that is wrong, and says what to do.
/// The text is valid until the next call with this machine. Empty if no call has failed; never NULL.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_error(machine: *mut PaprUnplug) -> *const c_char {
    // SAFETY: by this function's contract.
    let text = unsafe { enter(machine, |machine| machine.failure.as_ptr()) };
    text.unwrap_or_else(|absent| match absent {
        Absent::Null => c"no machine was given".as_ptr(),
        Absent::Broken => c"papr-unplug had a fault; this machine can only be freed".as_ptr(),
    })
}
