// SPDX-License-Identifier: GPL-2.0-only

//! The refusals that firmware was too busy to hear.

use crate::wire::drc::DrcIndex;
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// How many can wait.
pub const CAPACITY: usize = 64;

/// A refusal that waits: its number in the journal, and the connector to signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number in the journal.
    pub number: u64,
    /// The connector to signal.
    pub connector: DrcIndex,
}

/// A bounded queue: one caller at a time puts in, another one takes out, neither waits.
///
/// # Invariants
///
/// `taken <= put <= taken + CAPACITY`. The places from `taken` up to `put` are the taker's, the others the putter's.
#[derive(Debug)]
pub struct Deferred {
    taken: AtomicU64,
    put: AtomicU64,
    places: [(AtomicU64, AtomicU32); CAPACITY],
}

impl Deferred {
    /// An empty queue. To be made at compile time: it is large for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
            put: AtomicU64::new(0),
            places: [const { (AtomicU64::new(0), AtomicU32::new(0)) }; CAPACITY],
        }
    }

    /// Whether one more can wait. The putter may rely on it until it puts.
    pub fn has_room(&self) -> bool {
        self.put.load(Relaxed).wrapping_sub(self.taken.load(Acquire)) < CAPACITY as u64
    }

    /// Puts one in. It is lost if there is no room.
    pub fn put(&self, waiting: Waiting) {
        let put = self.put.load(Relaxed);
        if self.has_room() {
            let (number, connector) = self.place(put);
            number.store(waiting.number, Relaxed);
            connector.store(waiting.connector.0, Relaxed);
            // INVARIANT: there was room, and the place is written before it becomes the taker's.
            self.put.store(put.wrapping_add(1), Release);
        }
    }

    /// Takes the one out that has waited longest.
    pub fn take(&self) -> Option<Waiting> {
        let taken = self.taken.load(Relaxed);
        if taken == self.put.load(Acquire) {
            return None;
        }
        let (number, connector) = self.place(taken);
        let waiting = Waiting { number: number.load(Relaxed), connector: DrcIndex(connector.load(Relaxed)) };
        // INVARIANT: there was one, and the place is read before it becomes the putter's.
        self.taken.store(taken.wrapping_add(1), Release);
        Some(waiting)
    }

    fn place(&self, count: u64) -> &(AtomicU64, AtomicU32) {
        &self.places[(count % CAPACITY as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn nth(n: u32) -> Waiting {
        Waiting { number: u64::from(n), connector: DrcIndex(n) }
    }

    #[test]
    fn first_in_is_first_out() {
        let deferred = Deferred::new();
        deferred.put(nth(1));
        deferred.put(nth(2));
        assert_eq!([deferred.take(), deferred.take(), deferred.take()], [Some(nth(1)), Some(nth(2)), None]);
    }

    #[test]
    fn full_queue_says_so_and_keeps_what_it_has() {
        let deferred = Deferred::new();
        for n in 0..CAPACITY as u32 {
            assert!(deferred.has_room());
            deferred.put(nth(n));
        }
        assert!(!deferred.has_room());
        deferred.put(nth(1000));
        assert!((0..CAPACITY as u32).all(|n| deferred.take() == Some(nth(n))));
        assert_eq!(deferred.take(), None);
    }

    #[test]
    fn taker_beside_a_putter_gets_everything_once_and_in_order() {
        let deferred = Deferred::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..=20_000 {
                    while !deferred.has_room() {
                        thread::yield_now();
                    }
                    deferred.put(nth(n));
                }
            });
            let mut expected = 1;
            while expected <= 20_000 {
                if let Some(waiting) = deferred.take() {
                    assert_eq!(waiting, nth(expected));
                    expected += 1;
                }
            }
        });
    }
}
