// SPDX-License-Identifier: GPL-2.0-only

//! The requests that the kernel has taken and not yet begun with, in order, with their tokens.
//!
//! The kernel makes a work item of a request, for the worker of its ordered workqueue, or loses it for want of memory. The
//! item's address names the request until the worker begins with it, so that it is never confused with another one for the
//! same device.

use super::attempt::{Asked, Task};
use crate::wire::{
    hotplug::{Action, HotplugRequest},
    token::Token,
};
use core::{
    ops::Range,
    sync::atomic::{
        AtomicU16, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
};

/// How many can wait.
pub const CAPACITY: usize = 128;

/// A work item of the kernel, known by its address until it has been done. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work(pub usize);

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What is asked.
    pub asked: HotplugRequest,
    /// Its token.
    pub token: Token,
    /// What the kernel made of it; `None` if the kernel lost it.
    pub work: Option<Work>,
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
    /// What the kernel's work on a request calls, once that was seen, or 0.
    function: AtomicUsize,
    taken: AtomicUsize,
    put: AtomicUsize,
    places: [Place; CAPACITY],
}

/// The request that the kernel is taking at this moment.
#[derive(Debug)]
struct Arriving {
    /// The task that was interrupted for it, or 0.
    task: AtomicUsize,
    asked: Asked,
    token: AtomicU16,
    /// What became of it: see the constants.
    fate: AtomicU16,
}

const LOST: u16 = 0;
const KEPT: u16 = 1;
const UNKNOWN: u16 = 2;

/// What became of a request that the kernel took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits, also if the kernel has lost it.
    Waits,
    /// There was no room for it, or its token is not known: it will not be known when the kernel begins with it.
    Unknown,
}

#[derive(Debug)]
struct Place {
    asked: Asked,
    token: AtomicU16,
    /// 0 if the kernel lost it.
    work: AtomicUsize,
}

impl Place {
    fn work(&self) -> Option<Work> {
        match self.work.load(Relaxed) {
            0 => None,
            work => Some(Work(work)),
        }
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
            function: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            put: AtomicUsize::new(0),
            places: [const { Place { asked: Asked::new(), token: AtomicU16::new(0), work: AtomicUsize::new(0) } };
                CAPACITY],
        }
    }

    /// The kernel begins to take a request.
    pub fn begins(&self, task: Task, asked: &HotplugRequest, token: Token) {
        self.arriving.asked.set(asked);
        self.arriving.token.store(token.0, Relaxed);
        self.arriving.fate.store(LOST, Relaxed);
        self.arriving.task.store(task.0, Relaxed);
    }

    /// A task of the kernel queues some work that calls `function`, before any worker can see it. If this is what the kernel
    /// makes of a request, `copied` reads that from it. `logged` tells what stands in the log, should it not have been seen
    /// that the kernel is taking one.
    pub fn queues(
        &self,
        task: Task,
        work: Work,
        function: usize,
        copied: impl FnOnce() -> Option<HotplugRequest>,
        logged: impl FnOnce() -> Option<(HotplugRequest, Token)>,
    ) {
        let arriving = &self.arriving;
        if arriving.task.load(Relaxed) == task.0 {
            if arriving.fate.load(Relaxed) != LOST || copied() != Some(arriving.asked.get()) {
                return;
            }
            self.function.store(function, Relaxed);
        } else {
            if function != self.function.load(Relaxed) {
                return;
            }
            let Some(copy) = copied().filter(|copy| copy.action == Action::REMOVE) else { return };
            let token = logged().and_then(|(asked, token)| (asked == copy).then_some(token));
            self.begins(task, &copy, token.unwrap_or(Token::NONE));
            if token.is_none() {
                arriving.fate.store(UNKNOWN, Relaxed);
                return;
            }
        }
        let (asked, token) = (arriving.asked.get(), Token(arriving.token.load(Relaxed)));
        let kept = self.put(&Arrival { asked, token, work: Some(work) });
        arriving.fate.store(if kept { KEPT } else { UNKNOWN }, Relaxed);
    }

    /// Whether the kernel's work on a request is known when it is queued.
    pub fn knows_work(&self) -> bool {
        self.function.load(Relaxed) != 0
    }

    /// Whether the kernel is taking a request, as far as was seen.
    pub fn is_arriving(&self) -> bool {
        self.arriving.task.load(Relaxed) != 0
    }

    /// The kernel has taken the request, or lost it.
    pub fn ends(&self) -> Fate {
        let arriving = &self.arriving;
        arriving.task.store(0, Relaxed);
        let kept = match arriving.fate.load(Relaxed) {
            LOST => self.put(&Arrival {
                asked: arriving.asked.get(),
                token: Token(arriving.token.load(Relaxed)),
                work: None,
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
        taken != self.put.load(SeqCst) && self.place(taken).work().is_none()
    }

    /// How many stand before the one that the kernel made this of: the last one, as no other can still be there. The answer
    /// is certain only for who has the turn.
    pub fn before(&self, work: Work) -> Option<usize> {
        self.waiting().rfind(|nth| self.nth(*nth).work() == Some(work))
    }

    /// Takes the first one out. Only for who has the turn.
    pub fn take(&self) -> Option<Arrival> {
        let taken = self.taken.load(Relaxed);
        if taken == self.put.load(Acquire) {
            return None;
        }
        let place = self.place(taken);
        let arrival = Arrival { asked: place.asked.get(), token: Token(place.token.load(Relaxed)), work: place.work() };
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
        place.work.store(arrival.work.map_or(0, |work| work.0), Relaxed);
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

    fn work(n: u32) -> Work {
        Work(0x1_0000 + n as usize)
    }

    /// What the kernel's work on a request calls.
    const FUNCTION: usize = 0x6000;

    fn queues(arrivals: &Arrivals, work: Work, copied: impl FnOnce() -> Option<HotplugRequest>) {
        arrivals.queues(INTERRUPTED, work, FUNCTION, copied, || panic!("it was seen that a request is taken"));
    }

    fn arrive(arrivals: &Arrivals, n: u32, lost: bool) -> Fate {
        arrivals.begins(INTERRUPTED, &nth(n), Token(n as u16));
        if !lost {
            queues(arrivals, work(n), || Some(nth(n)));
        }
        arrivals.ends()
    }

    #[test]
    fn requests_come_out_in_order_with_their_tokens_and_lost_ones_say_so() {
        let arrivals = Arrivals::new();
        assert_eq!([arrive(&arrivals, 1, false), arrive(&arrivals, 2, true)], [Fate::Waits; 2]);
        assert!(!arrivals.is_first_lost());
        let first = Arrival { asked: nth(1), token: Token(1), work: Some(work(1)) };
        assert_eq!(arrivals.take(), Some(first));
        assert!(arrivals.is_first_lost());
        assert_eq!(arrivals.take(), Some(Arrival { asked: nth(2), token: Token(2), work: None }));
        assert_eq!(arrivals.take(), None);
    }

    #[test]
    fn same_request_twice_is_told_apart_by_what_the_kernel_made_of_it() {
        let arrivals = Arrivals::new();
        for n in [1, 2] {
            arrivals.begins(INTERRUPTED, &nth(7), Token(n));
            queues(&arrivals, work(n.into()), || Some(nth(7)));
            arrivals.ends();
        }
        assert_eq!([1, 2, 3].map(|n| arrivals.before(work(n))), [Some(0), Some(1), None]);
    }

    #[test]
    fn work_of_others_or_for_others_is_not_taken_for_the_request() {
        let arrivals = Arrivals::new();
        arrivals.begins(INTERRUPTED, &nth(1), Token(1));
        let others = |task| arrivals.queues(task, work(7), 0x7000, || panic!("others' work was looked at"), || None);
        others(OTHER);
        queues(&arrivals, work(8), || None);
        queues(&arrivals, work(9), || Some(nth(9)));
        queues(&arrivals, work(1), || Some(nth(1)));
        queues(&arrivals, work(2), || panic!("it was found already"));
        arrivals.ends();
        others(INTERRUPTED);
        assert_eq!(arrivals.take().and_then(|arrival| arrival.work), Some(work(1)));
        assert!(arrivals.is_empty());
    }

    #[test]
    fn request_whose_coming_was_not_seen_is_known_by_its_work_and_has_the_token_in_the_log() {
        let arrivals = Arrivals::new();
        let unseen = |n: u32, asked: HotplugRequest, logged: Option<(HotplugRequest, Token)>| {
            arrivals.queues(OTHER, work(n), FUNCTION, || Some(asked), || logged);
            arrivals.is_arriving().then(|| arrivals.ends())
        };
        assert_eq!(unseen(1, nth(1), Some((nth(1), Token(1)))), None, "nobody knows what it calls");
        arrive(&arrivals, 2, false);
        assert_eq!(unseen(3, nth(3), Some((nth(3), Token(3)))), Some(Fate::Waits));
        assert_eq!(unseen(4, nth(4), Some((nth(5), Token(5)))), Some(Fate::Unknown));
        assert_eq!(unseen(6, nth(6), None), Some(Fate::Unknown));
        let addition = HotplugRequest { action: Action::ADD, ..nth(7) };
        assert_eq!(unseen(7, addition, Some((addition, Token(7)))), None);
        let waiting = [(); 3].map(|()| arrivals.take().map(|arrival| (arrival.token, arrival.work)));
        assert_eq!(waiting, [Some((Token(2), Some(work(2)))), Some((Token(3), Some(work(3)))), None]);
    }

    #[test]
    fn request_that_finds_no_room_is_known_to_be_unknown() {
        let arrivals = Arrivals::new();
        let fates: Vec<_> = (1..=CAPACITY as u32 + 2).map(|n| arrive(&arrivals, n, n % 2 == 0)).collect();
        assert!(fates[..CAPACITY].iter().all(|fate| *fate == Fate::Waits));
        assert_eq!(fates[CAPACITY..], [Fate::Unknown; 2]);
        assert_eq!(arrivals.before(work(CAPACITY as u32 + 1)), None);
        assert_eq!(arrivals.take().map(|arrival| arrival.token), Some(Token(1)));
    }
}
