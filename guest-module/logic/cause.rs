// SPDX-License-Identifier: GPL-2.0-only

//! Why something could not be given up, and where that was.

use crate::wire::reason::Reason;
use core::{
    fmt,
    sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// What was seen to stand in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Which of the reasons in `spec/reasons.toml` that is.
    pub reason: Reason,
    /// The error that came of it: a negative errno, or 0.
    pub errno: i32,
    /// Where it was.
    pub place: Place,
    /// Whether it was inferred from what was not seen, which counts only if every probe saw every call.
    pub by_exclusion: bool,
}

/// Where something stood in the way, below the connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It is not known.
    #[default]
    Unknown,
    /// At this physical address.
    Address(u64),
    /// In this state of CPU hotplug (`/sys/devices/system/cpu/hotplug/states` has their names).
    CpuState(u32),
}

impl Cause {
    /// Of this, nothing more is known.
    pub const fn of(reason: Reason, errno: i32) -> Self {
        Self { reason, errno, place: Place::Unknown, by_exclusion: false }
    }

    /// The same, but inferred.
    pub const fn by_exclusion(reason: Reason, errno: i32) -> Self {
        Self { by_exclusion: true, ..Self::of(reason, errno) }
    }
}

impl Place {
    /// Two words for it.
    pub fn words(self) -> (u32, u64) {
        match self {
            Self::Unknown => (0, 0),
            Self::Address(address) => (1, address),
            Self::CpuState(state) => (2, u64::from(state)),
        }
    }

    /// What has these two words.
    pub fn of_words((kind, value): (u32, u64)) -> Self {
        match kind {
            1 => Self::Address(value),
            2 => Self::CpuState(value as u32),
            _ => Self::Unknown,
        }
    }
}

/// As people read it, after the reason.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::Address(address) => write!(f, " at address {address:#x}"),
            Self::CpuState(state) => write!(f, " in hotplug state {state}"),
        }
    }
}

/// Room for a [`Cause`], or none.
#[derive(Debug)]
pub struct CauseCell {
    /// The reason in bits 0 to 7, the kind of place in 8 to 15; see the constants.
    head: AtomicU32,
    errno: AtomicI32,
    place: AtomicU64,
}

const KNOWN: u32 = 1 << 16;
const BY_EXCLUSION: u32 = 1 << 17;

impl CauseCell {
    /// None.
    pub const fn new() -> Self {
        Self { head: AtomicU32::new(0), errno: AtomicI32::new(0), place: AtomicU64::new(0) }
    }

    /// It is this.
    pub fn set(&self, cause: &Cause) {
        let (kind, place) = cause.place.words();
        let inferred = if cause.by_exclusion { BY_EXCLUSION } else { 0 };
        self.place.store(place, Relaxed);
        self.errno.store(cause.errno, Relaxed);
        self.head.store(u32::from(cause.reason.0) | kind << 8 | inferred | KNOWN, Relaxed);
    }

    /// It is this, unless it is known already: what is seen first is deepest.
    pub fn set_first(&self, cause: &Cause) {
        if self.get().is_none() {
            self.set(cause);
        }
    }

    /// What it is.
    pub fn get(&self) -> Option<Cause> {
        let head = self.head.load(Relaxed);
        (head & KNOWN != 0).then(|| Cause {
            reason: Reason(head as u8),
            errno: self.errno.load(Relaxed),
            place: Place::of_words((head >> 8 & 0xFF, self.place.load(Relaxed))),
            by_exclusion: head & BY_EXCLUSION != 0,
        })
    }

    /// There is none.
    pub fn clear(&self) {
        self.head.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_comes_back_as_it_was_set_and_the_first_one_stays() {
        let cell = CauseCell::new();
        assert_eq!(cell.get(), None);
        let page = Cause { place: Place::Address(u64::MAX), ..Cause::of(Reason(31), -16) };
        let state = Cause { place: Place::CpuState(u32::MAX), ..Cause::by_exclusion(Reason(0), i32::MIN) };
        cell.set_first(&page);
        cell.set_first(&state);
        assert_eq!(cell.get(), Some(page));
        cell.clear();
        cell.set(&state);
        assert_eq!(cell.get(), Some(state));
    }
}
