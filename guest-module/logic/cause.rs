// SPDX-License-Identifier: GPL-2.0-only

//! Cause of a refusal, and its location.

use crate::wire::reason::Reason;
use core::fmt;

/// The condition that kept a resource in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The reason, as `spec/reasons.toml` lists it.
    pub reason: Reason,
    /// The error that the condition led to: a negative errno, or 0.
    pub errno: i32,
    /// The place where the condition was found.
    pub location: Location,
    /// True if the reason follows from a call that was not seen. Such a reason counts only if the
    /// probes missed no call.
    pub by_exclusion: bool,
}

/// A location of a [`Cause`], more precise than the DR connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// Not known.
    #[default]
    Unknown,
    /// A physical address.
    Address(u64),
    /// A state of CPU hotplug; `/sys/devices/system/cpu/hotplug/states` has the names.
    CpuState(u32),
}

impl Cause {
    /// Returns a cause that was seen, with no known location.
    pub const fn of(reason: Reason, errno: i32) -> Self {
        Self { reason, errno, location: Location::Unknown, by_exclusion: false }
    }

    /// Returns a cause that follows from a call that was not seen.
    pub const fn by_exclusion(reason: Reason, errno: i32) -> Self {
        Self { by_exclusion: true, ..Self::of(reason, errno) }
    }
}

/// Text that follows the reason in the kernel log.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::Address(address) => write!(f, " at address {address:#x}"),
            Self::CpuState(state) => write!(f, " in hotplug state {state}"),
        }
    }
}
