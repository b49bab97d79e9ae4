// SPDX-License-Identifier: MIT OR Apache-2.0

//! Clauses of `guest-conformance.md` as rules about transcripts.

use crate::{
    transcript::{Asked, Call, Entry, Transcript},
    verdict::{Seen, Verdict},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features},
    report::Report,
    rtas::{Indicator, IsolationState, Status},
    token::Token,
};
use std::ops::Range;

/// Finding of a rule: nothing that the clause is about, that it held, or the reason why it did not.
enum Found {
    Nothing,
    Held,
    Broken(String),
}

/// A rule about a transcript.
type Rule = fn(&View) -> Found;

/// The rules, by their clauses.
const RULES: [(&str, Rule); 20] = [
    ("PUE-G-001", only_the_offered_indicator_is_used),
    ("PUE-G-003", nothing_is_reported_without_an_offer),
    ("PUE-G-004", no_more_is_armed_than_offered),
    ("PUE-G-010", disarm_comes_before_the_first_arm),
    ("PUE-G-014", words_have_the_layout),
    ("PUE-G-015", arm_and_disarm_have_index_0),
    ("PUE-G-020", tokens_come_back),
    ("PUE-G-022", tokens_come_back),
    ("PUE-G-030", each_request_is_answered_once),
    ("PUE-G-032", indexes_are_those_of_the_request),
    ("PUE-G-033", nothing_is_set_after_done),
    ("PUE-G-034", success_is_reported),
    ("PUE-G-035", requests_for_a_device_are_answered_in_order),
    ("PUE-G-037", no_report_is_sent_again),
    ("PUE-G-038", removals_begun_inside_are_not_reported),
    ("PUE-G-039", started_comes_before_the_answer),
    ("PUE-G-050", refusals_that_are_not_armed_are_hinted_at),
    ("PUE-G-051", removals_begun_inside_are_not_hinted_at),
    ("PUE-G-060", disarm_comes_before_the_end),
    ("PUE-G-061", nothing_is_reported_before_arm),
];

/// Judges transcripts of one guest. The name of each is the scenario in its verdicts.
pub fn judge(transcripts: &[(&str, Transcript)]) -> Seen {
    let mut seen = Seen::default();
    for (name, transcript) in transcripts {
        let view = View::of(transcript);
        for (clause, rule) in RULES {
            let verdict = match rule(&view) {
                Found::Nothing => Verdict::NotShown,
                Found::Held => Verdict::Pass,
                Found::Broken(because) => Verdict::Fail { scenario: (*name).to_owned(), because },
            };
            seen.add(clause, verdict);
        }
    }
    seen
}

/// Report of the guest, at its place in the transcript.
#[derive(Clone, Copy)]
struct Sent {
    at: usize,
    call: Call,
    report: Report,
}

/// Request, at its place in the transcript.
struct Request {
    at: usize,
    /// The place at which all attempts at it had ended.
    settled: usize,
    /// The place at which what reports began again, or the end.
    over: usize,
    asked: Asked,
    /// The classes and features that were armed when it was made.
    armed: (Classes, Features),
}

/// Transcript as the rules read it.
struct View<'a> {
    transcript: &'a Transcript,
    sent: Vec<Sent>,
    requests: Vec<Request>,
}

impl Sent {
    /// Returns whether it answers a request.
    fn is_answer(&self) -> bool {
        matches!(self.report, Report::Refused { .. } | Report::Done { .. })
    }

    fn token(&self) -> Option<Token> {
        match self.report {
            Report::Started { token } | Report::Refused { token, .. } | Report::Done { token } => Some(token),
            Report::Arm { .. } | Report::Disarm => None,
        }
    }
}

impl Request {
    /// Returns whether the guest has promised to answer it.
    fn is_promised(&self) -> bool {
        self.asked.token.is_some()
    }

    /// Returns the class of its device. The top four bits of QEMU's DRC indexes say what a connector is for.
    fn class(&self) -> Classes {
        match self.asked.first.0 >> 28 {
            1 => Classes::CPU,
            2 => Classes::PHB,
            8 => Classes::MEMORY,
            9 => Classes::PMEM,
            _ => Classes::PCI,
        }
    }
}

impl<'a> View<'a> {
    fn of(transcript: &'a Transcript) -> Self {
        let offered = transcript.offer.map(|offer| offer.indicator);
        let entries = &transcript.entries;
        let next = |at: usize, is_it: &dyn Fn(&Entry) -> bool| {
            entries[at + 1..].iter().position(is_it).map_or(entries.len(), |further| at + 1 + further)
        };
        let (mut sent, mut requests) = (Vec::new(), Vec::new());
        let mut armed = (Classes::empty(), Features::empty());
        for (at, entry) in entries.iter().enumerate() {
            match *entry {
                Entry::Call(call) if Some(call.indicator) == offered => {
                    let Some(report) = call.report() else { continue };
                    match report {
                        Report::Arm { classes, features } if call.status.is_success() => armed = (classes, features),
                        Report::Disarm if call.status.is_success() => armed = (Classes::empty(), Features::empty()),
                        _ => {}
                    }
                    sent.push(Sent { at, call, report });
                }
                Entry::Asked(asked) => {
                    let settled = next(at, &|entry| *entry == Entry::Settled);
                    let over = next(at, &|entry| *entry == Entry::Begins);
                    requests.push(Request { at, settled, over, asked, armed });
                }
                Entry::Begins => armed = (Classes::empty(), Features::empty()),
                _ => {}
            }
        }
        Self { transcript, sent, requests }
    }

    /// Returns the reports about a request, also those that come too late.
    fn about<'b>(&'b self, request: &'b Request) -> impl Iterator<Item = &'b Sent> {
        let is_in = |sent: &&Sent| (request.at..request.over).contains(&sent.at);
        self.sent.iter().filter(is_in).filter(|sent| sent.token() == Some(request.asked.token))
    }

    /// Returns the place of the answer to a request.
    fn answer(&self, request: &Request) -> Option<usize> {
        self.about(request).find(|sent| sent.is_answer()).map(|sent| sent.at)
    }

    fn promised(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.is_promised())
    }

    fn calls(&self, places: Range<usize>) -> impl Iterator<Item = &Call> {
        self.transcript.entries[places].iter().filter_map(|entry| match entry {
            Entry::Call(call) => Some(call),
            _ => None,
        })
    }

    fn all_calls(&self) -> impl Iterator<Item = &Call> {
        self.calls(0..self.transcript.entries.len())
    }

    /// Returns the places of entries.
    fn places(&self, is_it: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let entries = self.transcript.entries.iter().enumerate();
        entries.filter(|(_, entry)| is_it(entry)).map(|(at, _)| at).collect()
    }

    /// Returns the places from one on up to the next entry like this, if there is one.
    fn up_to(&self, from: usize, is_it: impl Fn(&Entry) -> bool) -> Option<Range<usize>> {
        let further = self.transcript.entries[from..].iter().position(is_it)?;
        Some(from..from + further)
    }
}

/// Returns what the first of these that is broken says; otherwise whether there were any.
fn all(checks: impl IntoIterator<Item = Option<String>>) -> Found {
    let mut found = Found::Nothing;
    for check in checks {
        match check {
            Some(because) => return Found::Broken(because),
            None => found = Found::Held,
        }
    }
    found
}

/// Returns what a broken check says.
fn unless(holds: bool, because: impl FnOnce() -> String) -> Option<String> {
    (!holds).then(because)
}

fn only_the_offered_indicator_is_used(view: &View) -> Found {
    let offered = view.transcript.offer.map(|offer| offer.indicator);
    all(view.all_calls().filter(|call| call.is_report()).map(|call| {
        unless(Some(call.indicator) == offered, || {
            format!("set-indicator on {}, which is not offered", call.indicator.0)
        })
    }))
}

fn nothing_is_reported_without_an_offer(view: &View) -> Found {
    if view.transcript.offer.is_some() {
        return Found::Nothing;
    }
    let report = view.all_calls().find(|call| call.is_report());
    all([report.map(|call| format!("set-indicator on {}, and nothing is offered", call.indicator.0))])
}

fn no_more_is_armed_than_offered(view: &View) -> Found {
    let Some(offer) = view.transcript.offer else { return Found::Nothing };
    all(view.sent.iter().filter_map(|sent| match sent.report {
        Report::Arm { classes, features } => {
            Some(unless(offer.classes.contains(classes) && offer.features.contains(features), || {
                format!("ARM of {:#06x} with {:#04x}, which is not offered", classes.bits(), features.bits())
            }))
        }
        _ => None,
    }))
}

fn disarm_comes_before_the_first_arm(view: &View) -> Found {
    all(view.places(|entry| *entry == Entry::Begins).into_iter().filter_map(|begin| {
        let mut since = view.sent.iter().filter(|sent| sent.at > begin);
        let first = since.find(|sent| sent.token().is_none())?;
        Some(unless(first.report == Report::Disarm, || "ARM is sent before DISARM".to_owned()))
    }))
}

fn words_have_the_layout(view: &View) -> Found {
    let offered = view.transcript.offer.map(|offer| offer.indicator);
    all(view.all_calls().filter(|call| Some(call.indicator) == offered).map(|call| {
        unless(call.report().is_some() && call.status != Status::MALFORMED, || {
            format!("{:#010x} is no report word", call.value)
        })
    }))
}

fn arm_and_disarm_have_index_0(view: &View) -> Found {
    let promises = view.sent.iter().filter(|sent| sent.token().is_none());
    all(promises.map(|sent| {
        unless(sent.call.index == DrcIndex(0), || format!("{:?} has the index {}", sent.report, sent.call.index))
    }))
}

fn tokens_come_back(view: &View) -> Found {
    let answers = view.sent.iter().filter(|sent| sent.is_answer());
    all(answers.filter_map(|sent| {
        let is_open = |request: &&Request| (request.at..request.settled).contains(&sent.at);
        let mut open = view.promised().filter(is_open).filter(|request| request.asked.has(sent.call.index)).peekable();
        open.peek()?;
        let is_known = open.any(|request| Some(request.asked.token) == sent.token());
        Some(unless(is_known, || {
            format!("{:?} at {}, whose open requests have other tokens", sent.report, sent.call.index)
        }))
    }))
}

fn each_request_is_answered_once(view: &View) -> Found {
    all(view.promised().map(|request| {
        let answers: Vec<&Sent> = view.about(request).filter(|sent| sent.is_answer()).collect();
        let in_time = answers.iter().filter(|sent| sent.at < request.settled).count();
        unless((answers.len(), in_time) == (1, 1), || {
            let (number, all) = (request.asked.request, answers.len());
            format!("request {number} has {in_time} answers when its attempt has ended, and {all} in all")
        })
    }))
}

fn indexes_are_those_of_the_request(view: &View) -> Found {
    all(view.promised().flat_map(|request| {
        view.about(request).map(|sent| {
            let asked = request.asked;
            let is_right = match sent.report {
                Report::Refused { .. } => asked.has(sent.call.index),
                _ => sent.call.index == asked.first,
            };
            unless(is_right, || format!("{:?} about {} has the index {}", sent.report, asked.first, sent.call.index))
        })
    }))
}

fn nothing_is_set_after_done(view: &View) -> Found {
    all(view.promised().filter_map(|request| {
        let done = view.about(request).find(|sent| matches!(sent.report, Report::Done { .. }))?;
        let late = view.calls(done.at..request.settled.max(done.at)).find(|call| {
            let sets = [Indicator::ISOLATION_STATE, Indicator::ALLOCATION_STATE].contains(&call.indicator);
            sets && request.asked.has(call.index)
        });
        Some(late.map(|call| format!("set-indicator {} for {} after DONE", call.indicator.0, call.index)))
    }))
}

fn success_is_reported(view: &View) -> Found {
    all(view.promised().filter_map(|request| {
        let asked = request.asked;
        let is_given_back = |index: u32| {
            view.calls(request.at..request.settled).any(|call| {
                call.sets(Indicator::ALLOCATION_STATE, 0) && call.index.0 == index && call.status.is_success()
            })
        };
        let is_gone = (0..asked.count).all(|place| is_given_back(asked.first.0.wrapping_add(place)));
        is_gone.then(|| {
            unless(view.answer(request).is_some(), || {
                format!("request {} is done, and neither DONE nor REFUSED is sent", asked.request)
            })
        })
    }))
}

fn requests_for_a_device_are_answered_in_order(view: &View) -> Found {
    let promised: Vec<&Request> = view.promised().collect();
    all(promised.windows(2).filter_map(|pair| {
        let [first, second] = pair else { return None };
        let (one, other) = (view.answer(first)?, view.answer(second)?);
        // Without two that are open at a time there is no order to keep.
        if first.asked.first != second.asked.first || one.min(other) < second.at {
            return None;
        }
        Some(unless(one < other, || {
            format!("request {} is answered before {}", second.asked.request, first.asked.request)
        }))
    }))
}

fn no_report_is_sent_again(view: &View) -> Found {
    let about: Vec<&Sent> = view.sent.iter().filter(|sent| sent.token().is_some_and(Token::is_some)).collect();
    all(about.iter().enumerate().map(|(place, sent)| {
        let is_delivered = !sent.call.status.is_busy() && sent.call.status != Status::NOT_ARMED;
        let same = |other: &&&Sent| (other.call.index, other.call.value) == (sent.call.index, sent.call.value);
        let again = about[place + 1..].iter().find(same).filter(|_| is_delivered);
        again.map(|_| format!("{:?} is sent again after the status {}", sent.report, sent.call.status))
    }))
}

/// Returns the connectors that the guest was told to give back, and the places of its attempts.
fn begun_inside(view: &View) -> Vec<(DrcIndex, Range<usize>)> {
    let attempt = |at: usize| {
        let Entry::GivesBack(index) = view.transcript.entries[at] else { return None };
        Some((index, view.up_to(at, |entry| *entry == Entry::GaveBack(index))?))
    };
    view.places(|entry| matches!(entry, Entry::GivesBack(_))).into_iter().filter_map(attempt).collect()
}

fn removals_begun_inside_are_not_reported(view: &View) -> Found {
    let armed = view.sent.iter().find(|sent| matches!(sent.report, Report::Arm { .. })).map(|sent| sent.at);
    let inside = begun_inside(view).into_iter().filter(|(_, places)| armed.is_some_and(|at| at < places.start));
    all(inside.map(|(index, places)| {
        // The host asks for no device with this connector.
        let mut late = view.sent.iter().filter(|sent| sent.at > places.start && sent.token().is_some());
        let report = late.find(|sent| sent.call.index == index);
        report.map(|sent| format!("{:?} at {index}, which the guest was not asked for", sent.report))
    }))
}

/// Looks at removals that succeed. In one that fails, the kernel's own hint is no different.
fn removals_begun_inside_are_not_hinted_at(view: &View) -> Found {
    all(begun_inside(view).into_iter().filter_map(|(index, places)| {
        let of_it: Vec<&Call> = view.calls(places).filter(|call| call.index == index).collect();
        of_it.iter().find(|call| call.sets(Indicator::ALLOCATION_STATE, 0) && call.status.is_success())?;
        let hint = of_it.iter().any(|call| call.sets(Indicator::ISOLATION_STATE, IsolationState::UNISOLATE.0));
        Some(unless(!hint, || format!("{index} is unisolated in a removal that was begun inside the guest")))
    }))
}

fn started_comes_before_the_answer(view: &View) -> Found {
    let with_started = view.promised().filter(|request| request.armed.1.contains(Features::STARTED));
    all(with_started.filter_map(|request| {
        let answer = view.about(request).find(|sent| sent.is_answer())?;
        let started = view.about(request).find(|sent| matches!(sent.report, Report::Started { .. }));
        // A request that the guest does not begin with is refused without STARTED.
        let is_begun = started.is_some() || matches!(answer.report, Report::Done { .. });
        is_begun.then(|| {
            unless(started.is_some_and(|sent| sent.at < answer.at), || {
                format!("request {} is answered without STARTED before it", request.asked.request)
            })
        })
    }))
}

fn refusals_that_are_not_armed_are_hinted_at(view: &View) -> Found {
    let kept = view.requests.iter().filter(|request| request.asked.kept && !request.armed.0.contains(request.class()));
    all(kept.map(|request| {
        let mut calls = view.calls(request.at..request.settled);
        let has_hint = calls.any(|call| {
            call.sets(Indicator::ISOLATION_STATE, IsolationState::UNISOLATE.0) && request.asked.has(call.index)
        });
        unless(has_hint, || {
            let Asked { request, first, .. } = request.asked;
            format!("the guest keeps the device at {first}, and gives no hint of that to request {request}")
        })
    }))
}

fn disarm_comes_before_the_end(view: &View) -> Found {
    all(view.places(|entry| *entry == Entry::Stops).into_iter().filter_map(|stop| {
        let places = view.up_to(stop, |entry| *entry == Entry::Stopped)?;
        let before = view.sent.iter().rfind(|sent| sent.at < stop)?;
        if before.report == Report::Disarm {
            return None;
        }
        let last = view.sent.iter().rfind(|sent| places.contains(&sent.at));
        let is_disarm = last.is_some_and(|sent| sent.report == Report::Disarm && sent.call.status.is_success());
        Some(unless(is_disarm, || "the software which reports has stopped without DISARM".to_owned()))
    }))
}

fn nothing_is_reported_before_arm(view: &View) -> Found {
    all(view.places(|entry| *entry == Entry::Begins).into_iter().filter_map(|begin| {
        let first = view.sent.iter().find(|sent| sent.at > begin && sent.report != Report::Disarm)?;
        Some(unless(matches!(first.report, Report::Arm { .. }), || format!("{:?} comes before ARM", first.report)))
    }))
}
