// SPDX-License-Identifier: GPL-2.0-only

//! What the logic's unit tests show on the machine that compiles it, shown on the CPU and by the compiler of a kernel that
//! has KUnit: bytes, words, and what stands in atomics between probes. The kernel runs it each time it loads the module.

use kernel::prelude::*;

#[kunit_tests(papr_unplug)]
mod tests {
    use crate::{
        logic::{
            arrivals::{Arrivals, Work},
            attempt::{Asked, Attempt, Ending, Task},
            cause::{Cause, Place},
            clues::{LmbFlags, Senses},
            event_log,
            journal::{self, Journal},
            outbox::Outbox,
            parcel::Parcel,
            refusal::{Refusal, Told},
            verdict::{judge, Telling, Verdict},
        },
        wire::{
            drc::DrcIndex,
            hotplug::{HotplugRequest, Resource, Target},
            reason::Reason,
            report::{Errno, Report, Word},
            token::Token,
        },
    };

    const DIMM: [u8; 12] = [2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8];
    const LMB: DrcIndex = DrcIndex(0x8000_0009);
    const TASK: Task = Task(0x1000);

    #[test]
    fn request_is_read_from_big_endian_bytes_and_kept_in_words() {
        static ASKED: Asked = Asked::new();
        let dimm = HotplugRequest::from(DIMM);
        ASKED.set(&dimm);
        assert!(ASKED.get() == dimm);
        assert!(dimm.target() == Target::IndexedCount { count: 2, first: DrcIndex(0x8000_0008) });
    }

    #[test]
    fn report_is_the_word_of_the_protocol() {
        let refused = Report::Refused { token: Token(0xBEEF), reason: Reason::UNMOVABLE_PAGE, errno: Errno(16) };
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
        assert!(event_log::request(&around) == Some((HotplugRequest::from(DIMM), Token(0xBEEF))));
    }

    #[test]
    fn requests_come_out_in_order_and_lost_ones_say_so() {
        static ARRIVALS: Arrivals = Arrivals::new();
        let dimm = HotplugRequest::from(DIMM);
        let work = Work(0x10);
        ARRIVALS.begins(TASK, &dimm, Token(1));
        ARRIVALS.queues(TASK, work, 0x40, || Some(dimm), || None);
        ARRIVALS.ends();
        ARRIVALS.begins(TASK, &dimm, Token(2));
        ARRIVALS.ends();
        assert!(ARRIVALS.before(work) == Some(0));
        let taken = [(); 3].map(|()| ARRIVALS.take().map(|arrival| (arrival.token, arrival.work)));
        assert!(taken == [Some((Token(1), Some(work))), Some((Token(2), None)), None]);
    }

    #[test]
    fn dimm_that_a_notifier_keeps_is_refused_for_it() {
        static ATTEMPT: Attempt = Attempt::new();
        assert!(ATTEMPT.take_turn(TASK).is_ok());
        ATTEMPT.begin(&HotplugRequest::from(DIMM), Token(7));
        ATTEMPT.lmb_begins(LMB, LmbFlags::ASSIGNED);
        ATTEMPT.clues.notifiers_end(-16);
        ATTEMPT.lmb_ends(-16, Senses::default());
        let (asked, token) = ATTEMPT.asked();
        assert!(token == Token(7));
        let seen = ATTEMPT.seen(&Ending { returned: -22, ..Ending::default() }, Senses::default());
        let cause = Cause::of(Reason::MEMORY_VETO, -16);
        let expected = Verdict::Refused { cause, connector: Some(LMB), telling: Telling::Signal(LMB) };
        assert!(judge(&asked, &seen) == expected);
        ATTEMPT.give_turn_back();
    }

    #[test]
    fn journal_keeps_the_last_refusals_as_they_were() {
        static JOURNAL: Journal = Journal::new();
        let nth = |n: u32| Refusal {
            resource: Resource::MEMORY,
            connector: Some(DrcIndex(n)),
            lmb: None,
            reason: Reason::UNMOVABLE_PAGE,
            errno: -16,
            place: Place::Address(u64::from(n) << 32),
            token: Token(n as u16),
            told: Told::Pending,
        };
        let count = journal::CAPACITY as u32 + 2;
        for n in 1..=count {
            JOURNAL.add(&nth(n));
        }
        JOURNAL.settle(count.into(), Told::Pending, Told::Reported);
        assert!(JOURNAL.get(2).is_none());
        assert!(JOURNAL.get(3) == Some(nth(3)));
        assert!(JOURNAL.get(count.into()) == Some(Refusal { told: Told::Reported, ..nth(count) }));
    }

    #[test]
    fn what_is_to_be_told_comes_out_in_order() {
        static OUTBOX: Outbox = Outbox::new();
        let nth = |n: u32| Parcel {
            number: n.into(),
            report: Some((Word(n), DrcIndex(n))),
            hint: Some(DrcIndex(u32::MAX)),
            rearm: false,
            told: Told::Unnamed,
        };
        assert!(OUTBOX.put(&nth(1)) && OUTBOX.put(&nth(2)));
        assert!(OUTBOX.first() == Some(nth(1)));
        OUTBOX.take();
        assert!(OUTBOX.first() == Some(nth(2)));
        OUTBOX.take();
        assert!(OUTBOX.is_empty());
    }
}
