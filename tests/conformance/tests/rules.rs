// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rules can fail: each is broken by a change to the transcript of a guest that keeps them all.

use anyhow::Result;
use papr_unplug_conformance::{
    bench::Bench as _,
    rules, scenario,
    toy::Toy,
    transcript::{Call, Entry, Transcript},
    vm::WithOffer,
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    report::{Report, Word},
    rtas::{Indicator, Status},
};

/// Returns the transcript of the toy guest.
fn transcript() -> Result<Transcript> {
    let mut toy = Toy::boot(WithOffer::Yes);
    scenario::with_offer(&mut toy)?;
    toy.finish()
}

/// Returns the clauses that the toy guest breaks after a change to its transcript.
fn broken(change: impl FnOnce(&mut Transcript)) -> Result<Vec<String>> {
    let mut transcript = transcript()?;
    change(&mut transcript);
    let seen = rules::judge(&[("changed", transcript)]);
    Ok(seen.broken().into_iter().map(str::to_owned).collect())
}

/// Checks that a change breaks these clauses, and no other.
#[track_caller]
fn breaks(clauses: &[&str], change: impl FnOnce(&mut Transcript)) {
    assert_eq!(broken(change).unwrap(), clauses);
}

/// Returns the place of the first entry with such a report, from a place on.
fn report(transcript: &Transcript, from: usize, like: impl Fn(&Report) -> bool) -> usize {
    let is_it = |entry: &Entry| matches!(entry, Entry::Call(call) if call.report().is_some_and(|report| like(&report)));
    from + transcript.entries[from..].iter().position(is_it).unwrap()
}

fn place(transcript: &Transcript, entry: Entry) -> usize {
    transcript.entries.iter().position(|one| *one == entry).unwrap()
}

fn call(transcript: &mut Transcript, at: usize) -> &mut Call {
    let Entry::Call(call) = &mut transcript.entries[at] else { panic!("no call at {at}") };
    call
}

fn disarms(report: &Report) -> bool {
    *report == Report::Disarm
}

fn arms(report: &Report) -> bool {
    matches!(report, Report::Arm { .. })
}

fn starts(report: &Report) -> bool {
    matches!(report, Report::Started { .. })
}

fn refuses(report: &Report) -> bool {
    matches!(report, Report::Refused { .. })
}

fn is_done(report: &Report) -> bool {
    matches!(report, Report::Done { .. })
}

fn unisolate(index: u32) -> Entry {
    Entry::Call(Call { indicator: Indicator(9001), index: DrcIndex(index), value: 1, status: Status::SUCCESS })
}

#[test]
fn toy_guest_breaks_nothing() {
    breaks(&[], |_| {});
}

#[test]
fn other_indicator_is_seen() {
    breaks(&["PUE-G-001"], |transcript| {
        let at = report(transcript, 0, disarms);
        let other = Call { indicator: Indicator(9101), ..*call(transcript, at) };
        transcript.entries.insert(at, Entry::Call(other));
    });
}

#[test]
fn report_without_an_offer_is_seen() {
    breaks(&["PUE-G-001", "PUE-G-003"], |transcript| {
        let at = report(transcript, 0, disarms);
        let sent = transcript.entries[at];
        *transcript = Transcript { offer: None, entries: vec![Entry::Begins, sent] };
    });
}

#[test]
fn promise_of_what_is_not_offered_is_seen() {
    breaks(&["PUE-G-004"], |transcript| {
        let at = report(transcript, 0, arms);
        call(transcript, at).value |= 8;
    });
}

#[test]
fn arm_without_disarm_is_seen() {
    breaks(&["PUE-G-010"], |transcript| {
        let at = report(transcript, 0, disarms);
        transcript.entries.remove(at);
    });
}

#[test]
fn word_with_a_bit_that_has_to_be_zero_is_seen() {
    breaks(&["PUE-G-014"], |transcript| {
        let at = report(transcript, 0, disarms);
        let word = Word(Report::Disarm.word().0 | 1);
        let again = Call { value: word.0, ..*call(transcript, at) };
        transcript.entries.insert(at + 1, Entry::Call(again));
    });
}

#[test]
fn promise_about_a_connector_is_seen() {
    breaks(&["PUE-G-015"], |transcript| {
        let at = report(transcript, 0, arms);
        call(transcript, at).index = DrcIndex(0x1000_0001);
    });
}

#[test]
fn token_of_no_request_is_seen() {
    breaks(&["PUE-G-020", "PUE-G-022", "PUE-G-030"], |transcript| {
        let at = report(transcript, 0, refuses);
        call(transcript, at).value |= 0x7777;
    });
}

#[test]
fn request_without_an_answer_is_seen() {
    breaks(&["PUE-G-030"], |transcript| {
        let at = report(transcript, 0, refuses);
        transcript.entries.remove(at);
    });
}

#[test]
fn index_of_another_device_is_seen() {
    breaks(&["PUE-G-032"], |transcript| {
        let at = report(transcript, 0, starts);
        call(transcript, at).index = DrcIndex(0x8000_0009);
    });
}

#[test]
fn lmb_that_is_given_back_after_done_is_seen() {
    breaks(&["PUE-G-033"], |transcript| {
        let at = report(transcript, 0, is_done);
        let index = call(transcript, at).index;
        let isolate = Call { indicator: Indicator(9001), index, value: 0, status: Status::SUCCESS };
        transcript.entries.insert(at + 1, Entry::Call(isolate));
    });
}

#[test]
fn success_without_done_is_seen() {
    breaks(&["PUE-G-030", "PUE-G-034"], |transcript| {
        let at = report(transcript, 0, is_done);
        transcript.entries.remove(at);
    });
}

#[test]
fn answers_in_another_order_are_seen() {
    breaks(&["PUE-G-035"], |transcript| {
        // The second and the third request are for one device, and are open at a time.
        let first = report(transcript, 0, refuses);
        let second = report(transcript, first + 1, starts);
        let of_the_other = transcript.entries.split_off(second);
        let (one, rest) = of_the_other.split_at(2);
        let (other, rest) = rest.split_at(2);
        transcript.entries.extend([other, one, rest].concat());
    });
}

#[test]
fn report_that_is_sent_again_is_seen() {
    breaks(&["PUE-G-030", "PUE-G-037"], |transcript| {
        let at = report(transcript, 0, refuses);
        let again = transcript.entries[at];
        transcript.entries.insert(at, again);
    });
}

#[test]
fn report_and_hint_about_a_removal_begun_inside_are_seen() {
    breaks(&["PUE-G-038", "PUE-G-051"], |transcript| {
        let done = Call {
            indicator: Indicator(9100),
            index: DrcIndex(0x8000_000A),
            value: 0xA000_0000,
            status: Status::ALREADY,
        };
        let spare = DrcIndex(0x8000_000A);
        let unusable = Call { indicator: Indicator(9003), index: spare, value: 0, status: Status::SUCCESS };
        let inside = [Entry::GivesBack(spare), unisolate(spare.0), Entry::Call(unusable), Entry::GaveBack(spare)];
        transcript.entries.extend(inside.into_iter().chain([Entry::Call(done)]));
    });
}

#[test]
fn answer_without_started_is_seen() {
    breaks(&["PUE-G-039"], |transcript| {
        let done = report(transcript, 0, is_done);
        let of_done = |entry: &Entry| matches!(entry, Entry::Call(call) if call.report().is_some_and(|it| starts(&it)));
        let at = transcript.entries[..done].iter().rposition(of_done).unwrap();
        transcript.entries.remove(at);
    });
}

#[test]
fn refusal_without_a_hint_is_seen() {
    breaks(&["PUE-G-050"], |transcript| {
        let stopped = place(transcript, Entry::Stopped);
        let hint = stopped + transcript.entries[stopped..].iter().position(|e| *e == unisolate(0x1000_0001)).unwrap();
        transcript.entries.remove(hint);
    });
}

#[test]
fn end_without_disarm_is_seen() {
    breaks(&["PUE-G-060"], |transcript| {
        let at = report(transcript, place(transcript, Entry::Stops), disarms);
        transcript.entries.remove(at);
    });
}

#[test]
fn report_before_arm_is_seen() {
    breaks(&["PUE-G-061"], |transcript| {
        let at = report(transcript, 0, arms);
        let started = Call { value: 0x6000_0000, index: DrcIndex(0x1000_0001), ..*call(transcript, at) };
        transcript.entries.insert(at, Entry::Call(started));
    });
}
