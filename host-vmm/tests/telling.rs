// SPDX-License-Identifier: MIT OR Apache-2.0

//! Texts for people.

use papr_unplug::{
    RequestError, Span, TopologyError,
    event::{Ask, Device, End, Event, Events, Evidence, Outcome, Refusal, RequestId},
    wire::{drc::DrcIndex, hotplug::Resource, reason::Reason, report::Errno, token::Token},
};
use std::collections::VecDeque;

const LMB: DrcIndex = DrcIndex(0x8000_0009);

fn dimm() -> Device {
    Device { resource: Resource::MEMORY, connectors: Span::new(DrcIndex(0x8000_0008), 2).unwrap() }
}

fn refused(reason: Reason, errno: Errno, evidence: Evidence) -> Refusal {
    Refusal::new(LMB, reason, errno, evidence)
}

fn said(end: End) -> String {
    Outcome::new(RequestId(7), dimm(), end).to_string()
}

/// PUE-V-100
#[test]
fn refusal_says_which_request_where_why_and_what_to_do() {
    let refusal = refused(Reason::UNMOVABLE_PAGE, Errno(16), Evidence::Token);
    let text = said(End::Refused(refusal));
    let explained = refusal.explanation().unwrap();
    assert_eq!(
        text,
        format!(
            "request 7 to remove memory 0x80000008 to 0x80000009: the guest refused at connector 0x80000009: \
             unmovable-page (errno 16). {} {}",
            explained.meaning, explained.advice
        )
    );
}

/// PUE-V-039: reasons that this crate does not know are told as numbers.
#[test]
fn reason_is_told_as_well_as_it_is_known() {
    let why =
        |reason, errno, evidence| refused(reason, errno, evidence).to_string().replace("the guest refused at ", "");
    assert_eq!(why(Reason::LAST_CPU, Errno(0), Evidence::Order), "connector 0x80000009: last-cpu");
    assert_eq!(why(Reason(30), Errno(5), Evidence::Token), "connector 0x80000009: reason 0x1e (errno 5)");
    let agent = why(Reason::AGENT_FAILED, Errno(255), Evidence::Token);
    assert_eq!(agent, "connector 0x80000009: agent-failed (exit status 255)");
    assert_eq!(why(Reason::EXTENDED, Errno(200), Evidence::Token), "connector 0x80000009: extended 200");
    let inferred = why(Reason::UNATTRIBUTED, Errno(0), Evidence::Inferred);
    assert_eq!(inferred, "connector 0x80000009: no reason given (inferred)");
    assert!(said(End::Refused(refused(Reason(30), Errno(5), Evidence::Token))).ends_with("reason 0x1e (errno 5)"));
}

#[test]
fn other_ends_say_what_becomes_of_the_device() {
    let about = "request 7 to remove memory 0x80000008 to 0x80000009: ";
    assert_eq!(said(End::Released), format!("{about}released, the device is deleted"));
    assert_eq!(said(End::Reset), format!("{about}closed by a reset, the device is deleted"));
    assert_eq!(said(End::Cas), format!("{about}closed by a CAS negotiation of the guest, the device is deleted"));
    assert_eq!(said(End::Removed), format!("{about}closed, because the VMM removed the device without the guest"));
    assert!(said(End::Withdrawn).ends_with("withdrawn; the device is deleted should the guest still give it back"));
    assert_eq!(said(End::Load), format!("{about}closed, because another state of the machine was loaded"));
}

#[test]
fn evidence_has_names_for_programs() {
    let names = [Evidence::Token, Evidence::Order, Evidence::Inferred].map(Evidence::name);
    assert_eq!(names, ["reported-by-token", "reported-in-order", "inferred"]);
}

/// PUE-V-021, PUE-V-022: the bytes behind the headers of the event log.
#[test]
fn section_has_a_token_at_its_end_or_ends_behind_the_identifier() {
    let core = Device { resource: Resource::CPU, connectors: DrcIndex(0x1000_0001).into() };
    let plain = Ask::new(RequestId(1), core, Token::NONE).section();
    assert_eq!(plain.as_ref(), [0x48, 0x50, 0, 20, 1, 0, 0, 0, 1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0]);
    let named = Ask::new(RequestId(1), dimm(), Token(7)).section();
    let expected = [0x48, 0x50, 0, 24, 1, 0, 0, 0, 2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0, 7];
    assert_eq!(named.as_ref(), expected);
}

#[test]
fn queue_of_events_keeps_their_order() {
    let mut queue = VecDeque::new();
    let ended = |id| Event::Ended(Outcome::new(RequestId(id), dimm(), End::Released));
    [ended(7), ended(8)].into_iter().for_each(|event| queue.tell(event));
    assert_eq!(queue, [ended(7), ended(8)]);
}

#[test]
fn error_names_what_is_wrong_and_how_to_go_on() {
    assert_eq!(TopologyError::Occupied(LMB).to_string(), "connector 0x80000009 has a device already");
    let bound = RequestError::TooMany(4).to_string();
    let advice = "withdraw one of them, or wait until the guest has answered";
    assert_eq!(bound, format!("4 removal requests are open already; {advice}"));
    let bound = RequestError::TooManyOfDevice(LMB, 3).to_string();
    let device = "the device at connector 0x80000009";
    assert_eq!(bound, format!("3 removal requests for {device} are open already; {advice}"));
}
