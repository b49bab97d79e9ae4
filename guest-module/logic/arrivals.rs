// SPDX-License-Identifier: GPL-2.0-only

//! The requests that the kernel has taken and not yet begun with, in order, with their tokens.
//!
//! The kernel copies a request for the worker of its ordered workqueue, or loses it for want of memory. The copy's address
//! names the request until the worker has handled it, so that it is never confused with another one for the same device.

use super::attempt::{Asked, Task};
use crate::wire::{hotplug::HotplugRequest, token::Token};
use core::{
    ops::Range,
    sync::atomic::{
        AtomicU16, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
};

/// How many can wait.
pub const CAPACITY: usize = 128;

/// Where the kernel keeps a request that it has queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The address of the work item.
    pub work: usize,
    /// The address of the 12 bytes that the worker will be given.
    pub copy: usize,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What is asked.
    pub asked: HotplugRequest,
    /// Its token.
    pub token: Token,
    /// Where the kernel keeps it; `None` if the kernel lost it.
    pub queued: Option<Queued>,
}

/// A bounded queue of requests, in the order in which the kernel took them.
///
/// Arrivals come one at a time, as the kernel holds a lock while it takes an event; one caller at a time, who has the
/// turn of the watch, takes them out.
///
/// # Invariants
///
/// `taken <= put <= taken + CAPACITY`. The places from `taken` up to `put` are the taker's, the others the putter's.
#[derive(Debug)]
pub struct Arrivals {
    arriving: Arriving,
    taken: AtomicUsize,
    put: AtomicUsize,
    places: [Place; CAPACITY],
}

/// The request that the kernel is taking at this moment.
#[derive(Debug)]
struct Arriving {
    /// The task in which it does, or 0.
    task: AtomicUsize,
    asked: Asked,
    token: AtomicU16,
    /// What became of it: see the constants.
    fate: AtomicU16,
}

const LOST: u16 = 0;
const KEPT: u16 = 1;
const NO_ROOM: u16 = 2;

/// What became of a request that the kernel took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits, also if the kernel has lost it.
    Waits,
    /// There was no room for it: it will not be known when the kernel begins with it.
    Unknown,
}

#[derive(Debug)]
struct Place {
    asked: Asked,
    token: AtomicU16,
    /// 0 if the kernel lost it.
    work: AtomicUsize,
    copy: AtomicUsize,
}

impl Place {
    fn queued(&self) -> Option<Queued> {
        let (work, copy) = (self.work.load(Relaxed), self.copy.load(Relaxed));
        (work != 0).then_some(Queued { work, copy })
    }

    fn is_queued_as(&self, queued: impl FnOnce(Queued) -> bool) -> bool {
        self.queued().is_some_and(queued)
    }
}

impl Arrivals {
    /// None. To be made at compile time: it is large for a kernel's stack.
    #[inline]
    pub const fn new() -> Self {
        Self {
            arriving: Arriving {
                task: AtomicUsize::new(0),
                asked: Asked::new(),
                token: AtomicU16::new(0),
                fate: AtomicU16::new(LOST),
            },
            taken: AtomicUsize::new(0),
            put: AtomicUsize::new(0),
            places: [const {
                Place {
                    asked: Asked::new(),
                    token: AtomicU16::new(0),
                    work: AtomicUsize::new(0),
                    copy: AtomicUsize::new(0),
                }
            }; CAPACITY],
        }
    }

    /// The kernel begins to take a request.
    pub fn begins(&self, task: Task, asked: &HotplugRequest, token: Token) {
        self.arriving.asked.set(asked);
        self.arriving.token.store(token.0, Relaxed);
        self.arriving.fate.store(LOST, Relaxed);
        self.arriving.task.store(task.0, Relaxed);
    }

    /// A task of the kernel queues some work, before any worker can see it. If this is how the kernel keeps the request
    /// that it is taking, `copied` reads what stands where and what it is.
    pub fn queues(&self, task: Task, copied: impl FnOnce() -> Option<(Queued, HotplugRequest)>) {
        let arriving = &self.arriving;
        if arriving.task.load(Relaxed) != task.0 || arriving.fate.load(Relaxed) != LOST {
            return;
        }
        let asked = arriving.asked.get();
        if let Some((queued, copy)) = copied() {
            if copy == asked {
                let kept =
                    self.put(&Arrival { asked, token: Token(arriving.token.load(Relaxed)), queued: Some(queued) });
                arriving.fate.store(if kept { KEPT } else { NO_ROOM }, Relaxed);
            }
        }
    }

    /// The kernel has taken the request, or lost it.
    pub fn ends(&self, task: Task) -> Fate {
        let arriving = &self.arriving;
        if arriving.task.load(Relaxed) != task.0 {
            return Fate::Waits;
        }
        arriving.task.store(0, Relaxed);
        let kept = match arriving.fate.load(Relaxed) {
            LOST => self.put(&Arrival {
                asked: arriving.asked.get(),
                token: Token(arriving.token.load(Relaxed)),
                queued: None,
            }),
            fate => fate == KEPT,
        };
        if kept {
            Fate::Waits
        } else {
            Fate::Unknown
        }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.taken.load(Relaxed) == self.put.load(Acquire)
    }

    /// Whether the first one is one that the kernel lost.
    pub fn is_first_lost(&self) -> bool {
        let taken = self.taken.load(Relaxed);
        taken != self.put.load(SeqCst) && self.place(taken).queued().is_none()
    }

    /// How many stand before the one whose copy is at this address: the last one, as no other can still be there. Only for
    /// who has the turn.
    pub fn before_copy(&self, copy: usize) -> Option<usize> {
        self.waiting().rfind(|nth| self.nth(*nth).is_queued_as(|queued| queued.copy == copy))
    }

    /// How many stand before the one whose work item is at this address. The answer is certain only for who has the turn.
    pub fn before_work(&self, work: usize) -> Option<usize> {
        self.waiting().find(|nth| self.nth(*nth).is_queued_as(|queued| queued.work == work))
    }

    /// Takes the first one out. Only for who has the turn.
    pub fn take(&self) -> Option<Arrival> {
        let taken = self.taken.load(Relaxed);
        if taken == self.put.load(Acquire) {
            return None;
        }
        let place = self.place(taken);
        let arrival =
            Arrival { asked: place.asked.get(), token: Token(place.token.load(Relaxed)), queued: place.queued() };
        // INVARIANT: there was one, and the place is read before it becomes the putter's.
        self.taken.store(taken.wrapping_add(1), Release);
        Some(arrival)
    }

    /// The numbers of those that wait, counted from the first.
    fn waiting(&self) -> Range<usize> {
        0..self.put.load(Acquire).wrapping_sub(self.taken.load(Relaxed)).min(CAPACITY)
    }

    fn nth(&self, number: usize) -> &Place {
        self.place(self.taken.load(Relaxed).wrapping_add(number))
    }

    fn put(&self, arrival: &Arrival) -> bool {
        let put = self.put.load(Relaxed);
        if put.wrapping_sub(self.taken.load(Acquire)) >= CAPACITY {
            return false;
        }
        let place = self.place(put);
        place.asked.set(&arrival.asked);
        place.token.store(arrival.token.0, Relaxed);
        place.work.store(arrival.queued.map_or(0, |queued| queued.work), Relaxed);
        place.copy.store(arrival.queued.map_or(0, |queued| queued.copy), Relaxed);
        // INVARIANT: there was room, and the place is written before it becomes the taker's. The order among all threads
        // lets either the putter see that nobody has the turn, or who had it see what was put.
        self.put.store(put.wrapping_add(1), SeqCst);
        true
    }

    fn place(&self, count: usize) -> &Place {
        &self.places[count % CAPACITY]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const INTERRUPTED: Task = Task(0x3000);
    const OTHER: Task = Task(0x4000);

    fn nth(n: u32) -> HotplugRequest {
        let [a, b, c, d] = n.to_be_bytes();
        HotplugRequest::from([1, 2, 2, 0x80, a, b, c, d, 0, 0, 0, 0])
    }

    fn queued(n: u32) -> Queued {
        Queued { work: 0x1_0000 + n as usize, copy: 0x2_0000 + n as usize }
    }

    fn arrive(arrivals: &Arrivals, n: u32, lost: bool) -> Fate {
        arrivals.begins(INTERRUPTED, &nth(n), Token(n as u16));
        if !lost {
            arrivals.queues(INTERRUPTED, || Some((queued(n), nth(n))));
        }
        arrivals.ends(INTERRUPTED)
    }

    #[test]
    fn requests_come_out_in_order_with_their_tokens_and_lost_ones_say_so() {
        let arrivals = Arrivals::new();
        assert_eq!([arrive(&arrivals, 1, false), arrive(&arrivals, 2, true)], [Fate::Waits; 2]);
        assert!(!arrivals.is_first_lost());
        let first = Arrival { asked: nth(1), token: Token(1), queued: Some(queued(1)) };
        assert_eq!(arrivals.take(), Some(first));
        assert!(arrivals.is_first_lost());
        assert_eq!(arrivals.take(), Some(Arrival { asked: nth(2), token: Token(2), queued: None }));
        assert_eq!(arrivals.take(), None);
    }

    #[test]
    fn same_request_twice_is_told_apart_by_where_the_kernel_keeps_it() {
        let arrivals = Arrivals::new();
        for n in [1, 2] {
            arrivals.begins(INTERRUPTED, &nth(7), Token(n));
            arrivals.queues(INTERRUPTED, || Some((queued(n.into()), nth(7))));
            arrivals.ends(INTERRUPTED);
        }
        assert_eq!(arrivals.before_copy(queued(2).copy), Some(1));
        assert_eq!(arrivals.before_work(queued(1).work), Some(0));
        assert_eq!(arrivals.before_copy(0x5_0000), None);
    }

    #[test]
    fn work_of_others_or_for_others_is_not_taken_for_the_request() {
        let arrivals = Arrivals::new();
        arrivals.begins(INTERRUPTED, &nth(1), Token(1));
        arrivals.queues(OTHER, || panic!("another task's work was looked at"));
        arrivals.queues(INTERRUPTED, || None);
        arrivals.queues(INTERRUPTED, || Some((queued(9), nth(9))));
        arrivals.queues(INTERRUPTED, || Some((queued(1), nth(1))));
        arrivals.queues(INTERRUPTED, || panic!("it was found already"));
        arrivals.ends(INTERRUPTED);
        arrivals.queues(INTERRUPTED, || panic!("nothing arrives any more"));
        assert_eq!(arrivals.take().and_then(|arrival| arrival.queued), Some(queued(1)));
        assert!(arrivals.is_empty());
    }

    #[test]
    fn request_that_finds_no_room_is_known_to_be_unknown() {
        let arrivals = Arrivals::new();
        let fates: Vec<_> = (1..=CAPACITY as u32 + 2).map(|n| arrive(&arrivals, n, n % 2 == 0)).collect();
        assert!(fates[..CAPACITY].iter().all(|fate| *fate == Fate::Waits));
        assert_eq!(fates[CAPACITY..], [Fate::Unknown; 2]);
        assert_eq!(arrivals.before_copy(queued(CAPACITY as u32 + 1).copy), None);
        assert_eq!(arrivals.take().map(|arrival| arrival.token), Some(Token(1)));
    }
}
