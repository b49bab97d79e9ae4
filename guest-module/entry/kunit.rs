// SPDX-License-Identifier: GPL-2.0-only

//! KUnit tests: what the unit tests of the logic show on the machine that compiles it, shown on the
//! CPU and by the compiler of the kernel. The kernel runs them each time it loads the module.

use kernel::prelude::*;

#[kunit_tests(papr_unplug)]
mod tests {
    use crate::{
        logic::{
            cause::{Cause, Location},
            event_log,
            handover::{Due, End, Handed, Handover, Process, Reading},
            history::History,
            notice::Notice,
            observations::{LmbFlags, ProbeSet},
            outcome::{classify, Hint, Outcome},
            refusal::{Delivery, Refusal},
            removal::{Begin, Removal, Task},
            request_queue::{RequestQueue, WaitingRequest, Work},
            retry_queue::RetryQueue,
        },
        wire::{
            drc::DrcIndex,
            hotplug::{HotplugRequest, Resource, Target},
            reason::Reason,
            report::{Errno, Report, Word},
            token::Token,
        },
    };
    use core::num::NonZeroUsize;
    use kernel::prelude::*;

    const DIMM: [u8; 12] = [2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8];
    const LMB: DrcIndex = DrcIndex(0x8000_0009);
    const TASK: Task = Task(0x1000);

    /// Calls a test with memory for two items, which is freed after that.
    fn with_room<T: Copy + 'static>(item: T, test: impl FnOnce(&'static mut [T])) -> Result {
        let room = KBox::into_raw(KBox::new([item; 2], GFP_KERNEL)?);
        // SAFETY: The memory was allocated above, and the test uses it only until it returns.
        test(unsafe { &mut *room });
        // SAFETY: The memory was allocated above, and is not used any more.
        drop(unsafe { KBox::from_raw(room) });
        Ok(())
    }

    #[test]
    fn request_is_read_from_big_endian_bytes() {
        let dimm = HotplugRequest::from(DIMM);
        let first = DrcIndex(0x8000_0008);
        assert!(dimm.target() == Target::IndexedCount { count: 2, first });
    }

    #[test]
    fn report_is_the_word_of_the_protocol() {
        let (token, reason) = (Token(0xBEEF), Reason::UNMOVABLE_PAGE);
        let refused = Report::Refused { token, reason, errno: Errno(16) };
        assert!(refused.word() == Word(0x8610_BEEF));
        assert!(refused.word().report() == Some(refused));
    }

    #[test]
    fn token_is_found_in_an_event_log() {
        let mut around = [0; event_log::SIZE];
        let log = &mut around[event_log::BEFORE - 96..][..120];
        log[7] = 112;
        log[20..24].copy_from_slice(b"IBM\0");
        log[24..28].copy_from_slice(&[b'P', b'H', 0, 48]);
        log[72..76].copy_from_slice(&[b'U', b'H', 0, 24]);
        log[96..100].copy_from_slice(&[b'H', b'P', 0, 24]);
        log[104..116].copy_from_slice(&DIMM);
        log[118..120].copy_from_slice(&[0xBE, 0xEF]);
        let expected = (HotplugRequest::from(DIMM), Token(0xBEEF));
        assert!(event_log::request(&around) == Some(expected));
    }

    #[test]
    fn requests_come_out_in_order_and_lost_ones_say_so() -> Result {
        let dimm = HotplugRequest::from(DIMM);
        let work = NonZeroUsize::new(0x10).map(Work);
        with_room(WaitingRequest::EMPTY, |room| {
            let mut queue = RequestQueue::with(room);
            queue.begins(TASK, &dimm, Token(1));
            if let Some(work) = work {
                queue.queues(TASK, work, dimm, None);
            }
            queue.ends();
            queue.begins(TASK, &dimm, Token(2));
            queue.ends();
            let taken = [(); 3].map(|()| queue.take().map(|waiting| (waiting.token, waiting.work)));
            assert!(taken == [Some((Token(1), work)), Some((Token(2), None)), None]);
        })
    }

    #[test]
    fn request_that_nobody_reads_ends_and_is_void() -> Result {
        let pci = HotplugRequest::from([5, 2, 2, 0x80, 0x40, 0, 0, 8, 0, 0, 0, 0]);
        with_room(Handed::EMPTY, |room| {
            let mut handover = Handover::with(room);
            handover.log_has(1);
            assert!(handover.logs(&pci, Token(7)));
            handover.nobody_reads(1);
            let due = handover.due();
            assert!(matches!(due, Some(Due { token: Token(7), end: Some(End::NoReader), .. })));
            assert!(handover.has_read(Process(1), &pci, Token(7)) == Reading::Void);
        })
    }

    #[test]
    fn dimm_that_a_notifier_keeps_is_refused_for_it() {
        let mut removal =
            Removal::new(TASK, HotplugRequest::from(DIMM), Token(7), Begin::default());
        removal.lmb_begins(LMB, LmbFlags::ASSIGNED);
        removal.observations.notifiers_end(-16);
        removal.lmb_ends(-16, ProbeSet::default());
        removal.handler_ends(-22, false);
        let request = removal.request;
        let outcome = removal.ends(0, ProbeSet::default()).map(|seen| classify(&request, seen));
        let cause = Cause::of(Reason::MEMORY_VETO, -16);
        let (connector, hint) = (Some(LMB), Hint::On(LMB));
        assert!(outcome == Some(Outcome::Refused { cause, connector, hint }));
    }

    #[test]
    fn history_keeps_the_last_refusals_as_they_were() -> Result {
        let nth = |n: u32| Refusal {
            resource: Resource::MEMORY,
            connector: Some(DrcIndex(n)),
            errno: -16,
            location: Location::Address(u64::from(n) << 32),
            token: Token(n as u16),
            ..Refusal::EMPTY
        };
        with_room(Refusal::EMPTY, |room| {
            let mut history = History::with(room);
            for n in 1..=3 {
                history.add(&nth(n));
            }
            history.deliver(3, Delivery::Reported);
            let kept = [1, 2, 3].map(|number| history.get(number).copied());
            let last = Refusal { delivery: Delivery::Reported, ..nth(3) };
            assert!(kept == [None, Some(nth(2)), Some(last)]);
        })
    }

    #[test]
    fn notices_come_out_in_order() -> Result {
        let nth = |n: u32| Notice {
            number: n.into(),
            report: Some((Word(n), DrcIndex(n))),
            hint: Some(DrcIndex(u32::MAX)),
            ..Notice::EMPTY
        };
        with_room(Notice::EMPTY, |room| {
            let mut notices = RetryQueue::with(room);
            assert!(notices.push(nth(1)) && notices.push(nth(2)));
            let taken = [notices.pop(), notices.pop(), notices.pop()];
            assert!(taken == [Some(nth(1)), Some(nth(2)), None]);
        })
    }
}
