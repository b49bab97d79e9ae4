// SPDX-License-Identifier: MIT OR Apache-2.0

//! Handle of a machine, and the guard around every call on it.

use crate::{effect::Effects, incoming::Incoming};
use papr_unplug::{Config, Tracker};
use std::{
    ffi::CString,
    panic::{self, AssertUnwindSafe},
};

/// All DR connectors of one machine, the devices behind them, and the open removal requests.
pub struct PaprUnplug {
    pub(crate) tracker: Tracker,
    pub(crate) effects: Effects,
    pub(crate) incoming: Incoming,
    /// Text of the last failure.
    pub(crate) failure: CString,
    is_broken: bool,
}

/// A handle may move between threads; one thread uses it at a time.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<PaprUnplug>();
};

/// Reason why a call finds no machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The handle is NULL.
    Null,
    /// An earlier call panicked, and left the machine in an unknown state.
    Broken,
}

impl PaprUnplug {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            tracker: Tracker::new(config),
            effects: Effects::new(),
            incoming: Incoming::Nothing,
            failure: CString::default(),
            is_broken: false,
        }
    }

    pub(crate) fn guarded<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> Result<T, Absent> {
        if self.is_broken {
            return Err(Absent::Broken);
        }
        // After a panic the machine is not used again.
        panic::catch_unwind(AssertUnwindSafe(|| call(self))).map_err(|_| {
            self.is_broken = true;
            Absent::Broken
        })
    }
}

/// Runs a call on the machine behind a handle.
///
/// # Safety
/// `machine` is NULL, or came from [`papr_unplug_new`](crate::papr_unplug_new) and was not freed, and no other call
/// uses it now.
pub(crate) unsafe fn enter<T>(machine: *mut PaprUnplug, call: impl FnOnce(&mut PaprUnplug) -> T) -> Result<T, Absent> {
    // SAFETY: by this function's contract it is NULL or a machine that no other call uses.
    let machine = unsafe { machine.as_mut() };
    machine.ok_or(Absent::Null)?.guarded(call)
}

/// Runs a call that needs no machine. Returns `otherwise` if the call panics.
pub(crate) fn shielded<T>(otherwise: T, call: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or(otherwise)
}
