// SPDX-License-Identifier: GPL-2.0-only

//! Queue of the requests that the kernel has taken and not begun with, with their tokens.
//!
//! The kernel makes a work item of a request for the worker of its ordered workqueue, or loses the
//! request for want of memory. The address of the item identifies the request until the worker
//! begins with it, so that it is never confused with another request for the same device.

use super::{removal::Task, ring::Ring};
use crate::wire::{
    hotplug::{Action, HotplugRequest},
    token::Token,
};
use core::{mem::size_of, num::NonZeroUsize};

/// The number of requests that can wait: as many as our hypervisor keeps open for one device.
pub const CAPACITY: usize = 1024;
/// The number of lost requests that are looked at in one go. More than one is rare.
const LOST_AT_ONCE: usize = 16;

/// A work item of the kernel, known by its address until its work has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work(pub NonZeroUsize);

/// The least alignment of what `kmalloc` returns. No type of resource is a multiple of it.
const KMALLOC_ALIGN: u8 = 8;

/// Returns the address of the request of a work item, given the address behind the item and the
/// word there. The request stands there itself, and begins with a type of resource, or the word is
/// the address of a copy from `kmalloc`, whose first byte in memory is the lowest.
pub fn request_at(behind: usize, word: [u8; size_of::<usize>()]) -> usize {
    if word[0].is_multiple_of(KMALLOC_ALIGN) {
        usize::from_ne_bytes(word)
    } else {
        behind
    }
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingRequest {
    /// The request.
    pub request: HotplugRequest,
    /// The token of the request.
    pub token: Token,
    /// The work item that the kernel made of it; `None` if the kernel lost the request.
    pub work: Option<Work>,
}

impl WaitingRequest {
    /// A request of nothing, which fills unused room.
    pub const EMPTY: Self = Self { request: HotplugRequest::ZERO, token: Token::NONE, work: None };
}

/// The requests that wait, oldest first, and the one that the kernel is taking.
#[derive(Debug)]
pub struct RequestQueue {
    arriving: Option<Arriving>,
    waiting: Ring<WaitingRequest>,
}

/// A request that the kernel is taking.
#[derive(Clone, Copy, Debug)]
struct Arriving {
    /// The task that takes it, or that was interrupted for it.
    task: Task,
    request: HotplugRequest,
    token: Token,
    /// True if a probe saw it, and not only its work item.
    is_seen: bool,
    /// The result so far; `None` until the kernel has queued a work item.
    queued: Option<Queued>,
}

/// The result for a request that the kernel took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// The request waits, also if the kernel lost it.
    Waits,
    /// The queue is full. The removal will begin without a token.
    NoRoom,
    /// The token is not known. The removal will begin without one.
    NoToken,
}

impl RequestQueue {
    /// Makes every request one without a token.
    pub fn forget_tokens(&mut self) {
        self.waiting.change_all(|waiting| waiting.token = Token::NONE);
        if let Some(arriving) = &mut self.arriving {
            arriving.token = Token::NONE;
        }
    }

    /// Returns a queue without room.
    pub const fn new() -> Self {
        Self { arriving: None, waiting: Ring::new() }
    }

    /// Returns an empty queue with room for [`CAPACITY`] requests.
    pub fn with(room: &'static mut [WaitingRequest]) -> Self {
        Self { waiting: Ring::with(room), ..Self::new() }
    }

    /// Stores that a task begins to take a request.
    pub fn begins(&mut self, task: Task, request: &HotplugRequest, token: Token) {
        self.arriving =
            Some(Arriving { task, request: *request, token, is_seen: true, queued: None });
    }

    /// Stores that a task has queued a work item for the request `copied`. `logged` is the request
    /// in the event log, which is used if the beginning was not seen.
    pub fn queues(
        &mut self,
        task: Task,
        work: Work,
        copied: HotplugRequest,
        logged: Option<(HotplugRequest, Token)>,
    ) {
        if !self.arriving.is_some_and(|arriving| arriving.task == task) {
            if copied.action != Action::REMOVE {
                return;
            }
            let logged = logged.and_then(|(request, token)| (request == copied).then_some(token));
            let token = logged.unwrap_or(Token::NONE);
            let request = copied;
            self.arriving = Some(Arriving { task, request, token, is_seen: false, queued: None });
            if logged.is_none() {
                return self.set_queued(Queued::NoToken);
            }
        }
        let Some(Arriving { request, token, queued: None, .. }) = self.arriving else { return };
        if request == copied {
            let fits = self.waiting.push(WaitingRequest { request, token, work: Some(work) });
            self.set_queued(if fits { Queued::Waits } else { Queued::NoRoom });
        }
    }

    /// Returns the request that a task takes.
    pub fn arriving(&self, task: Task) -> Option<&HotplugRequest> {
        self.arriving.as_ref().filter(|one| one.task == task).map(|one| &one.request)
    }

    /// Forgets the request that the kernel is taking.
    pub fn forget_arriving(&mut self) {
        self.arriving = None;
    }

    /// Returns whether the kernel is taking a request.
    pub fn is_arriving(&self) -> bool {
        self.arriving.is_some()
    }

    /// Returns whether the kernel is taking a request that a probe saw.
    pub fn is_arrival_seen(&self) -> bool {
        self.arriving.is_some_and(|arriving| arriving.is_seen)
    }

    /// Returns whether the kernel is taking a request and has queued its work item.
    pub fn is_arrival_queued(&self) -> bool {
        self.arriving.is_some_and(|arriving| arriving.queued.is_some())
    }

    /// Stores that the kernel has taken the request, or lost it if it queued no work item. Returns
    /// `None` if the kernel was taking none.
    pub fn ends(&mut self) -> Option<Queued> {
        let Arriving { request, token, queued, .. } = self.arriving.take()?;
        Some(queued.unwrap_or_else(|| {
            let fits = self.waiting.push(WaitingRequest { request, token, work: None });
            if fits {
                Queued::Waits
            } else {
                Queued::NoRoom
            }
        }))
    }

    /// Returns whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Removes the oldest request that the kernel lost and that has no request before it for the
    /// same device (PUE-G-035): neither `running` nor one that waits.
    pub fn take_lost(&mut self, running: Option<&HotplugRequest>) -> Option<WaitingRequest> {
        let is_first = |nth: usize, lost: &WaitingRequest| {
            let before = self.waiting.iter().take(nth).map(|waiting| &waiting.request);
            !before.chain(running).any(|earlier| may_be_one_device(earlier, &lost.request))
        };
        let lost = self.waiting.iter().enumerate().filter(|(_, waiting)| waiting.work.is_none());
        let (nth, _) = lost.take(LOST_AT_ONCE).find(|(nth, lost)| is_first(*nth, lost))?;
        self.waiting.remove(nth)
    }

    /// Returns the number of requests that wait before the one with this work item. The newest one
    /// is meant if several have it: the kernel has freed the item of the others.
    pub fn before(&self, work: Work) -> Option<usize> {
        self.waiting.iter().rposition(|waiting| waiting.work == Some(work))
    }

    /// Removes the oldest request.
    pub fn take(&mut self) -> Option<WaitingRequest> {
        self.waiting.pop()
    }

    fn set_queued(&mut self, queued: Queued) {
        if let Some(arriving) = &mut self.arriving {
            arriving.queued = Some(queued);
        }
    }
}

/// Returns whether two requests may be for the same device. One by count names no connector.
pub(super) fn may_be_one_device(one: &HotplugRequest, other: &HotplugRequest) -> bool {
    match (one.target().connector(), other.target().connector()) {
        (Some(one), Some(other)) => one == other,
        _ => one.resource == other.resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn queue() -> RequestQueue {
        RequestQueue::with(Vec::leak(vec![WaitingRequest::EMPTY; CAPACITY]))
    }

    const INTERRUPTED: Task = Task(0x3000);
    const OTHER: Task = Task(0x4000);

    fn nth(n: u32) -> HotplugRequest {
        let [a, b, c, d] = n.to_be_bytes();
        HotplugRequest::from([1, 2, 2, 0x80, a, b, c, d, 0, 0, 0, 0])
    }

    fn work(n: u32) -> Work {
        Work(NonZeroUsize::MIN.saturating_add(n as usize))
    }

    fn arrive(queue: &mut RequestQueue, n: u32, lost: bool) -> Option<Queued> {
        queue.begins(INTERRUPTED, &nth(n), Token(n as u16));
        if !lost {
            queue.queues(INTERRUPTED, work(n), nth(n), None);
        }
        queue.ends()
    }

    /// The layouts of `struct pseries_hp_work` in stock Linux and with `packaging/linux/removal`.
    #[test]
    fn request_stands_behind_its_work_item_or_its_address_does() {
        const BEHIND: usize = 0xC000_0000_0123_4560;
        for copy in [0xC000_0000_0765_4308, 0xC000_0001_FFFF_FFF0, 0xC008_0000_0000_0000_usize] {
            assert_eq!(request_at(BEHIND, copy.to_ne_bytes()), copy);
        }
        // The last of the eight bytes belongs to a connector, or to a count.
        for resource in 1..=7 {
            for last in [0, 8, 0xC0] {
                let word = [resource, 2, 4, 0x80, 0x80, 0, 0, last];
                assert_eq!(request_at(BEHIND, word), BEHIND);
            }
        }
    }

    #[test]
    fn requests_come_out_in_order_with_their_tokens_and_lost_ones_say_so() {
        let mut queue = queue();
        let queued = [arrive(&mut queue, 1, false), arrive(&mut queue, 2, true)];
        assert_eq!(queued, [Some(Queued::Waits); 2]);
        assert_eq!(queue.take_lost(Some(&nth(2))), None);
        let first = WaitingRequest { request: nth(1), token: Token(1), work: Some(work(1)) };
        assert_eq!(queue.take(), Some(first));
        let second = WaitingRequest { request: nth(2), token: Token(2), work: None };
        assert_eq!(queue.take_lost(None), Some(second));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn same_request_twice_is_told_apart_by_what_the_kernel_made_of_it() {
        let mut queue = queue();
        for n in [1, 2] {
            queue.begins(INTERRUPTED, &nth(7), Token(n));
            queue.queues(INTERRUPTED, work(n.into()), nth(7), None);
            queue.ends();
        }
        assert_eq!([1, 2, 3].map(|n| queue.before(work(n))), [Some(0), Some(1), None]);
    }

    /// PUE-G-035
    #[test]
    fn lost_request_waits_for_those_before_it_for_the_same_device_only() {
        let mut queue = queue();
        for (n, lost) in [(1, true), (2, false), (2, true), (3, true)] {
            arrive(&mut queue, n, lost);
        }
        let lost = [(); 3].map(|()| queue.take_lost(Some(&nth(1))).map(|lost| lost.request));
        assert_eq!(lost, [Some(nth(3)), None, None]);
        let by_count = HotplugRequest::from([1, 2, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(queue.take_lost(Some(&by_count)), None);
        assert_eq!(queue.take_lost(None).map(|lost| lost.request), Some(nth(1)));
        assert_eq!(queue.take().map(|waiting| waiting.request), Some(nth(2)));
        assert_eq!(queue.take_lost(None).map(|lost| lost.request), Some(nth(2)));
    }

    #[test]
    fn work_on_another_request_is_not_taken_for_the_one_that_arrives() {
        let mut queue = queue();
        queue.begins(INTERRUPTED, &nth(1), Token(1));
        assert!(queue.is_arrival_seen());
        queue.queues(INTERRUPTED, work(9), nth(9), None);
        queue.queues(INTERRUPTED, work(1), nth(1), None);
        queue.queues(INTERRUPTED, work(2), nth(1), None);
        queue.ends();
        assert_eq!(queue.take().and_then(|waiting| waiting.work), Some(work(1)));
        assert!(queue.is_empty());
    }

    #[test]
    fn request_whose_coming_was_not_seen_is_known_by_its_work_and_has_the_token_in_the_log() {
        let mut queue = queue();
        let mut unseen = |n: u32, copied: HotplugRequest, logged| {
            queue.queues(OTHER, work(n), copied, logged);
            assert!(!queue.is_arrival_seen());
            queue.ends()
        };
        assert_eq!(unseen(3, nth(3), Some((nth(3), Token(3)))), Some(Queued::Waits));
        assert_eq!(unseen(4, nth(4), Some((nth(5), Token(5)))), Some(Queued::NoToken));
        assert_eq!(unseen(6, nth(6), None), Some(Queued::NoToken));
        let addition = HotplugRequest { action: Action::ADD, ..nth(7) };
        assert_eq!(unseen(7, addition, Some((addition, Token(7)))), None);
        let waiting = [(); 2].map(|()| queue.take().map(|waiting| (waiting.token, waiting.work)));
        assert_eq!(waiting, [Some((Token(3), Some(work(3)))), None]);
    }

    #[test]
    fn request_that_finds_no_room_is_known_to_have_none() {
        let mut queue = queue();
        let count = CAPACITY as u32 + 2;
        let queued: Vec<_> =
            (1..=count).map(|n| arrive(&mut queue, n, n.is_multiple_of(2))).collect();
        assert!(queued[..CAPACITY].iter().all(|queued| *queued == Some(Queued::Waits)));
        assert_eq!(queued[CAPACITY..], [Some(Queued::NoRoom); 2]);
        assert_eq!(queue.before(work(CAPACITY as u32 + 1)), None);
        assert_eq!(queue.take().map(|waiting| waiting.token), Some(Token(1)));
    }
}
