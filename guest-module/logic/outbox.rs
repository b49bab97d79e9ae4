// SPDX-License-Identifier: GPL-2.0-only

//! What firmware was too busy to hear, in order.

use super::{parcel::Parcel, refusal::Told};
use crate::wire::{drc::DrcIndex, report::Word};
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// How many parcels can wait.
pub const CAPACITY: usize = 64;

/// A bounded queue: one caller at a time puts in, another one takes out, neither waits.
///
/// A parcel stays in it while it is being told, so that who finds it empty may tell something by himself and overtakes
/// nothing.
///
/// # Invariants
///
/// `taken <= put <= taken + CAPACITY`. The places from `taken` up to `put` are the taker's, the others the putter's.
#[derive(Debug)]
pub struct Outbox {
    taken: AtomicU64,
    put: AtomicU64,
    places: [[AtomicU64; WORDS]; CAPACITY],
}

const WORDS: usize = 4;

impl Outbox {
    /// An empty queue. To be made at compile time: it is large for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
            put: AtomicU64::new(0),
            places: [const { [const { AtomicU64::new(0) }; WORDS] }; CAPACITY],
        }
    }

    /// Whether nothing waits, so that nothing can be overtaken.
    pub fn is_empty(&self) -> bool {
        self.put.load(Acquire) == self.taken.load(Acquire)
    }

    /// Puts a parcel in; `false` if there is no room.
    pub fn put(&self, parcel: &Parcel) -> bool {
        let put = self.put.load(Relaxed);
        if put.wrapping_sub(self.taken.load(Acquire)) >= CAPACITY as u64 {
            return false;
        }
        for (place, word) in self.place(put).iter().zip(words(parcel)) {
            place.store(word, Relaxed);
        }
        // INVARIANT: there was room, and the place is written before it becomes the taker's.
        self.put.store(put.wrapping_add(1), Release);
        true
    }

    /// The parcel that has waited longest. It stays until it is taken.
    pub fn first(&self) -> Option<Parcel> {
        let taken = self.taken.load(Relaxed);
        let [first, second, third, fourth] = self.place(taken);
        (taken != self.put.load(Acquire))
            .then(|| parcel([first.load(Relaxed), second.load(Relaxed), third.load(Relaxed), fourth.load(Relaxed)]))
    }

    /// Takes out the parcel that has waited longest, which there must be.
    pub fn take(&self) {
        // INVARIANT: there is one, by the contract of this function.
        self.taken.fetch_add(1, Release);
    }

    fn place(&self, count: u64) -> &[AtomicU64; WORDS] {
        &self.places[(count % CAPACITY as u64) as usize]
    }
}

const HAS_REPORT: u64 = 1 << 32;
const HAS_HINT: u64 = 1 << 33;
const REARMS: u64 = 1 << 34;

fn words(parcel: &Parcel) -> [u64; WORDS] {
    let Parcel { number, report, hint, rearm, told } = *parcel;
    let (word, connector) = report.unwrap_or((Word(0), DrcIndex(0)));
    let flags = report.map_or(0, |_| HAS_REPORT) | hint.map_or(0, |_| HAS_HINT) | if rearm { REARMS } else { 0 };
    [
        number,
        u64::from(word.0) << 32 | u64::from(connector.0),
        flags | u64::from(hint.unwrap_or_default().0),
        told.bits(),
    ]
}

fn parcel([number, report, hint, told]: [u64; WORDS]) -> Parcel {
    Parcel {
        number,
        report: (hint & HAS_REPORT != 0).then_some((Word((report >> 32) as u32), DrcIndex(report as u32))),
        hint: (hint & HAS_HINT != 0).then_some(DrcIndex(hint as u32)),
        rearm: hint & REARMS != 0,
        told: Told::of_bits(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, vec::Vec};

    fn nth(n: u32) -> Parcel {
        Parcel {
            number: u64::from(n),
            report: (n.is_multiple_of(2)).then_some((Word(u32::MAX - n), DrcIndex(n))),
            hint: (n.is_multiple_of(3)).then_some(DrcIndex(u32::MAX - n)),
            rearm: n.is_multiple_of(5),
            told: Told::Pending,
        }
    }

    #[test]
    fn parcels_come_out_in_order_and_as_they_were_put_in() {
        let outbox = Outbox::new();
        assert!((0..30).all(|n| outbox.put(&nth(n))));
        for n in 0..30 {
            assert_eq!(outbox.first(), Some(nth(n)));
            outbox.take();
        }
        assert_eq!(outbox.first(), None);
    }

    #[test]
    fn outbox_is_not_empty_while_its_last_parcel_is_being_told() {
        let outbox = Outbox::new();
        assert!(outbox.is_empty());
        outbox.put(&nth(1));
        assert!(outbox.first().is_some() && !outbox.is_empty());
        outbox.take();
        assert!(outbox.is_empty());
    }

    #[test]
    fn full_outbox_says_so_and_keeps_what_it_has() {
        let outbox = Outbox::new();
        let room: Vec<_> = (0..=CAPACITY as u32).map(|n| outbox.put(&nth(n))).collect();
        assert_eq!(room.iter().position(|put| !put), Some(CAPACITY));
        assert_eq!(outbox.first(), Some(nth(0)));
    }

    #[test]
    fn taker_beside_a_putter_gets_everything_once_and_in_order() {
        let outbox = Outbox::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..=20_000 {
                    while !outbox.put(&nth(n)) {
                        thread::yield_now();
                    }
                }
            });
            let mut expected = 1;
            while expected <= 20_000 {
                if let Some(parcel) = outbox.first() {
                    assert_eq!(parcel, nth(expected));
                    outbox.take();
                    expected += 1;
                }
            }
        });
    }
}
