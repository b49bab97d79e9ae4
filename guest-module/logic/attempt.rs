// SPDX-License-Identifier: GPL-2.0-only

//! The removal that is being followed: whose it is, what was asked, what has been seen of it.

use super::verdict::{Evidence, Failure};
use crate::wire::{drc::DrcIndex, hotplug::HotplugRequest};
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// A task of the kernel, known by an address that is its own while it runs. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task(pub usize);

/// The one removal that is being followed, if any.
///
/// # Invariants
///
/// While `holder` is a task, only probes that run in that task touch the other fields. So they need no ordering of
/// their own: a task sees what it wrote itself, whichever CPU it wakes up on, and `holder` orders one task's use after
/// the other's.
#[derive(Debug)]
pub struct Attempt {
    /// The task that makes it, or 0.
    holder: AtomicUsize,
    asked: Asked,
    released: AtomicU32,
    unreleased: FailureCell,
    busy_lmb: FailureCell,
    unisolated: AtomicBool,
    /// The connector that is being given back at this moment.
    releasing: AtomicU32,
    /// The LMB that is being taken offline at this moment.
    removing: AtomicU32,
}

impl Attempt {
    /// None.
    pub const fn new() -> Self {
        Self {
            holder: AtomicUsize::new(0),
            asked: Asked { kind: AtomicU32::new(0), identifier: AtomicU64::new(0) },
            released: AtomicU32::new(0),
            unreleased: FailureCell::new(),
            busy_lmb: FailureCell::new(),
            unisolated: AtomicBool::new(false),
            releasing: AtomicU32::new(0),
            removing: AtomicU32::new(0),
        }
    }

    /// Begins to follow a removal. Returns `false` if another task's is being followed.
    pub fn begin(&self, task: Task, asked: &HotplugRequest) -> bool {
        if self.holder.compare_exchange(0, task.0, Acquire, Relaxed).is_err() {
            return false;
        }
        self.asked.set(asked);
        self.released.store(0, Relaxed);
        self.unreleased.clear();
        self.busy_lmb.clear();
        self.unisolated.store(false, Relaxed);
        true
    }

    /// Whether the removal that is being followed is this task's.
    pub fn is_of(&self, task: Task) -> bool {
        self.holder.load(Relaxed) == task.0
    }

    /// What was asked. Only for the task whose removal it is.
    pub fn asked(&self) -> HotplugRequest {
        self.asked.get()
    }

    /// What was seen, now that the removal has returned. Only for the task whose removal it is.
    pub fn seen(&self, returned: i32) -> Evidence {
        Evidence {
            returned,
            released: self.released.load(Relaxed),
            unreleased: self.unreleased.get(),
            busy_lmb: self.busy_lmb.get(),
            unisolated: self.unisolated.load(Relaxed),
        }
    }

    /// Stops following, so that the next removal can be.
    pub fn end(&self) {
        self.holder.store(0, Release);
    }

    /// The kernel begins to give a connector back.
    pub fn release_begins(&self, connector: DrcIndex) {
        self.releasing.store(connector.0, Relaxed);
    }

    /// It has done so, or failed to.
    pub fn release_ends(&self, returned: i32) {
        if returned == 0 {
            self.released.fetch_add(1, Relaxed);
        } else if self.unreleased.get().is_none() {
            let connector = DrcIndex(self.releasing.load(Relaxed));
            self.unreleased.set(Failure { connector, errno: returned });
        }
    }

    /// The kernel begins to take an LMB offline.
    pub fn offline_begins(&self, lmb: DrcIndex) {
        self.removing.store(lmb.0, Relaxed);
    }

    /// It has done so, or failed to.
    pub fn offline_ends(&self, returned: i32) {
        if returned != 0 {
            let connector = DrcIndex(self.removing.load(Relaxed));
            self.busy_lmb.set(Failure { connector, errno: returned });
        }
    }

    /// The kernel tried to signal a refusal, and returned 0 if it did.
    pub fn unisolate_ends(&self, returned: i32) {
        if returned == 0 {
            self.unisolated.store(true, Relaxed);
        }
    }
}

/// A request, as words that several CPUs may see.
#[derive(Debug)]
struct Asked {
    /// Resource, action, identifier type and capability.
    kind: AtomicU32,
    /// The identifier.
    identifier: AtomicU64,
}

impl Asked {
    fn set(&self, asked: &HotplugRequest) {
        let HotplugRequest { resource, action, identifier_type, capability, identifier: [first, second] } = *asked;
        self.kind.store(u32::from_be_bytes([resource.0, action.0, identifier_type.0, capability]), Relaxed);
        self.identifier.store(u64::from(first.get()) << 32 | u64::from(second.get()), Relaxed);
    }

    fn get(&self) -> HotplugRequest {
        let mut bytes = [0; HotplugRequest::SIZE];
        let (kind, identifier) = bytes.split_at_mut(4);
        kind.copy_from_slice(&self.kind.load(Relaxed).to_be_bytes());
        identifier.copy_from_slice(&self.identifier.load(Relaxed).to_be_bytes());
        HotplugRequest::from(bytes)
    }
}

/// Room for a [`Failure`]; an errno of 0 is none.
#[derive(Debug)]
struct FailureCell {
    connector: AtomicU32,
    errno: AtomicI32,
}

impl FailureCell {
    const fn new() -> Self {
        Self { connector: AtomicU32::new(0), errno: AtomicI32::new(0) }
    }

    fn set(&self, failure: Failure) {
        self.connector.store(failure.connector.0, Relaxed);
        self.errno.store(failure.errno, Relaxed);
    }

    fn get(&self) -> Option<Failure> {
        let errno = self.errno.load(Relaxed);
        (errno != 0).then(|| Failure { connector: DrcIndex(self.connector.load(Relaxed)), errno })
    }

    fn clear(&self) {
        self.errno.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: Task = Task(0x1000);
    const OTHER: Task = Task(0x2000);
    const LMB: DrcIndex = DrcIndex(0x8000_0009);

    fn dimm() -> HotplugRequest {
        HotplugRequest::from([2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8])
    }

    #[test]
    fn request_comes_back_byte_for_byte() {
        let attempt = Attempt::new();
        assert!(attempt.begin(WORKER, &dimm()));
        assert_eq!(attempt.asked(), dimm());
    }

    #[test]
    fn second_removal_waits_until_the_first_ends() {
        let attempt = Attempt::new();
        assert!(attempt.begin(WORKER, &dimm()));
        assert!(attempt.is_of(WORKER) && !attempt.is_of(OTHER));
        assert!(!attempt.begin(OTHER, &dimm()));
        attempt.end();
        assert!(attempt.begin(OTHER, &dimm()));
        assert!(attempt.is_of(OTHER) && !attempt.is_of(WORKER));
    }

    #[test]
    fn evidence_is_what_was_seen_and_nothing_of_the_attempt_before() {
        let attempt = Attempt::new();
        assert!(attempt.begin(WORKER, &dimm()));
        attempt.offline_begins(LMB);
        attempt.offline_ends(-16);
        attempt.release_begins(LMB);
        attempt.release_ends(-1);
        attempt.release_begins(DrcIndex(1));
        attempt.release_ends(-2);
        attempt.release_ends(0);
        attempt.unisolate_ends(0);
        let seen = Evidence {
            returned: -22,
            released: 1,
            unreleased: Some(Failure { connector: LMB, errno: -1 }),
            busy_lmb: Some(Failure { connector: LMB, errno: -16 }),
            unisolated: true,
        };
        assert_eq!(attempt.seen(-22), seen);

        attempt.end();
        assert!(attempt.begin(WORKER, &dimm()));
        assert_eq!(attempt.seen(0), Evidence::default());
    }

    #[test]
    fn signal_that_the_kernel_withheld_does_not_count() {
        let attempt = Attempt::new();
        assert!(attempt.begin(WORKER, &dimm()));
        attempt.unisolate_ends(-1);
        assert!(!attempt.seen(-22).unisolated);
    }
}
