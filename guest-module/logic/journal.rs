// SPDX-License-Identifier: GPL-2.0-only

//! The last refusals, in room that is set aside once.

use super::{
    cause::Place,
    refusal::{Refusal, Told},
};
use crate::wire::{drc::DrcIndex, hotplug::Resource, reason::Reason, token::Token};
use core::sync::atomic::{
    fence, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// How many refusals are kept.
pub const CAPACITY: usize = 64;

/// The last [`CAPACITY`] refusals. One writer at a time adds; anyone reads at any time, without a lock.
#[derive(Debug)]
pub struct Journal {
    /// The number of the newest refusal; the first is 1.
    newest: AtomicU64,
    slots: [Slot; CAPACITY],
}

const WORDS: usize = 4;

/// Room for one refusal.
///
/// # Invariants
///
/// `number` is 0 while the words are being written, else the refusal's number. A reader that finds the same number
/// before and after reading the words has read the words of that refusal.
#[derive(Debug)]
struct Slot {
    number: AtomicU64,
    /// What was refused and why, see [`what_words`].
    what: [AtomicU64; WORDS],
    /// Who told the hypervisor: the bits of [`Told`], which changes once if firmware was busy.
    told: AtomicU64,
}

impl Journal {
    /// An empty journal. To be made at compile time: it is large for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            newest: AtomicU64::new(0),
            slots: [const {
                Slot { number: AtomicU64::new(0), what: [const { AtomicU64::new(0) }; WORDS], told: AtomicU64::new(0) }
            }; CAPACITY],
        }
    }

    /// The number of the newest refusal, 0 if there has been none.
    pub fn newest(&self) -> u64 {
        self.newest.load(Acquire)
    }

    /// The number of the oldest refusal that may still be here.
    pub fn oldest(&self) -> u64 {
        self.newest().saturating_sub(CAPACITY as u64).saturating_add(1)
    }

    /// Adds a refusal and returns its number. One caller at a time.
    pub fn add(&self, refusal: &Refusal) -> u64 {
        let number = self.newest.load(Relaxed).wrapping_add(1);
        if let Some(slot) = self.slot(number) {
            slot.number.store(0, Relaxed);
            fence(Release); // the words change only after the number is gone
            for (word, value) in slot.what.iter().zip(what_words(refusal)) {
                word.store(value, Relaxed);
            }
            slot.told.store(refusal.told.bits(), Relaxed);
            slot.number.store(number, Release);
        }
        self.newest.store(number, Release);
        number
    }

    /// Reads refusal `number`, if it is still here.
    pub fn get(&self, number: u64) -> Option<Refusal> {
        let slot = self.slot(number)?;
        if number == 0 || slot.number.load(Acquire) != number {
            return None;
        }
        let what = slot.what.each_ref().map(|word| word.load(Relaxed));
        let told = slot.told.load(Relaxed);
        fence(Acquire); // the words were read before the number is read again
        (slot.number.load(Relaxed) == number).then(|| refusal(what, told))
    }

    /// Notes who told the hypervisor of refusal `number` in the end. Nothing happens if it is no longer here.
    pub fn settle(&self, number: u64, before: Told, after: Told) {
        let Some(slot) = self.slot(number).filter(|slot| slot.number.load(Acquire) == number) else { return };
        // If a newer refusal takes the slot at this moment, this changes nothing, unless that one waits as well:
        // then the journal says a little early what is about to become true.
        let _ = slot.told.compare_exchange(before.bits(), after.bits(), AcqRel, Relaxed);
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        self.slots.get((number % CAPACITY as u64) as usize)
    }
}

const HAS_CONNECTOR: u64 = 1 << 8;
const HAS_LMB: u64 = 1 << 9;

/// Resource in bits 0 to 7, what is known in 8 and 9, the reason in 16 to 23, errno in 32 to 63; then connector and LMB;
/// then the kind of place and the token; then the place.
fn what_words(refusal: &Refusal) -> [u64; WORDS] {
    let known = refusal.connector.map_or(0, |_| HAS_CONNECTOR) | refusal.lmb.map_or(0, |_| HAS_LMB);
    let index = |drc: Option<DrcIndex>| u64::from(drc.unwrap_or_default().0);
    let (kind, place) = refusal.place.words();
    [
        u64::from(refusal.resource.0)
            | known
            | u64::from(refusal.reason.0) << 16
            | u64::from(refusal.errno as u32) << 32,
        index(refusal.connector) << 32 | index(refusal.lmb),
        u64::from(kind) << 32 | u64::from(refusal.token.0),
        place,
    ]
}

fn refusal(what: [u64; WORDS], told: u64) -> Refusal {
    let [first, second, third, place] = what;
    Refusal {
        resource: Resource(first as u8),
        connector: (first & HAS_CONNECTOR != 0).then_some(DrcIndex((second >> 32) as u32)),
        lmb: (first & HAS_LMB != 0).then_some(DrcIndex(second as u32)),
        reason: Reason((first >> 16) as u8),
        errno: (first >> 32) as i32,
        place: Place::of_words(((third >> 32) as u32, place)),
        token: Token(third as u16),
        told: Told::of_bits(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtas::Status;
    use std::{sync::atomic::AtomicBool, thread, vec::Vec};

    fn nth(n: u32) -> Refusal {
        Refusal {
            resource: Resource::MEMORY,
            connector: Some(DrcIndex(n)),
            lmb: Some(DrcIndex(n)),
            reason: Reason(n as u8),
            errno: -(n as i32),
            place: Place::Address(n.into()),
            token: Token(n as u16),
            told: Told::Pending,
        }
    }

    #[test]
    fn empty_journal_has_nothing() {
        let journal = Journal::new();
        assert_eq!((journal.newest(), journal.oldest()), (0, 1));
        assert_eq!(journal.get(0), None);
        assert_eq!(journal.get(1), None);
    }

    #[test]
    fn every_kind_of_refusal_comes_back_as_it_was_added() {
        let journal = Journal::new();
        let told = [
            Told::ByKernel,
            Told::ByModule,
            Told::Reported,
            Told::Pending,
            Told::Unnamed,
            Told::Absent,
            Told::Failed(Status(-9004)),
        ];
        for told in told {
            for (connector, lmb) in [(None, None), (Some(DrcIndex(0)), None), (None, Some(DrcIndex(u32::MAX)))] {
                let (reason, place, token) = (Reason(0xff), Place::CpuState(u32::MAX), Token(0xffff));
                let resource = Resource(0xff);
                let refusal = Refusal { resource, connector, lmb, reason, errno: i32::MIN, place, token, told };
                let number = journal.add(&refusal);
                assert_eq!(journal.get(number), Some(refusal));
            }
        }
    }

    #[test]
    fn only_the_last_refusals_are_kept() {
        let journal = Journal::new();
        for n in 1..=CAPACITY as u32 + 2 {
            journal.add(&nth(n));
        }
        let kept: Vec<_> = (0..=journal.newest() + 1).filter_map(|number| journal.get(number)).collect();
        assert_eq!(journal.oldest(), 3);
        assert_eq!(kept, (3..=CAPACITY as u32 + 2).map(nth).collect::<Vec<_>>());
    }

    #[test]
    fn settled_refusal_says_who_told() {
        let journal = Journal::new();
        let number = journal.add(&nth(5));
        journal.settle(number, nth(5).told, Told::ByModule);
        assert_eq!(journal.get(number), Some(Refusal { told: Told::ByModule, ..nth(5) }));
    }

    #[test]
    fn refusal_that_has_left_is_not_settled_in_another_ones_place() {
        let journal = Journal::new();
        let gone = journal.add(&nth(1));
        for n in 2..=CAPACITY as u32 + 1 {
            journal.add(&nth(n));
        }
        journal.settle(gone, nth(1).told, Told::ByModule);
        assert_eq!(journal.get(CAPACITY as u64 + 1), Some(nth(CAPACITY as u32 + 1)));
    }

    #[test]
    fn reader_beside_a_writer_never_sees_a_mixture() {
        let journal = Journal::new();
        let done = AtomicBool::new(false);
        let read = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut read = 0;
                while !done.load(Relaxed) || read == 0 {
                    for number in journal.oldest()..=journal.newest() {
                        if let Some(refusal) = journal.get(number) {
                            assert_eq!(refusal, nth(number as u32));
                            read += 1;
                        }
                    }
                }
                read
            });
            for n in 1..=20_000 {
                journal.add(&nth(n));
            }
            done.store(true, Relaxed);
            reader.join().unwrap()
        });
        assert!(read > 0);
    }
}
