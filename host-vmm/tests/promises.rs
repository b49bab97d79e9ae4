// SPDX-License-Identifier: MIT OR Apache-2.0

//! Promises to users that earlier versions of this crate broke, each as a short conversation.

use papr_unplug::{
    Config, Offer, RequestError, Span, Tracker,
    event::{Ask, Cause, Deletion, End, Event, Evidence, Outcome, RequestId, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        reason::Reason,
        rtas::{Indicator, Status},
        token::Token,
    },
};

const CORE: DrcIndex = DrcIndex(0x1000_0001);
const LMB0: DrcIndex = DrcIndex(0x8000_0008);
const LMB1: DrcIndex = DrcIndex(0x8000_0009);
/// Functions 0 to 2 of a PCI slot.
const FUNCTIONS: [DrcIndex; 3] = [DrcIndex(0x4000_0000), DrcIndex(0x4000_0001), DrcIndex(0x4000_0002)];
const REPORTS: u32 = 9100;
const ARM: u32 = 0x2001_0006;
/// REFUSED, unmovable page, errno 16, without a token.
const REFUSED: u32 = 0x8610_0000;

/// Conversation with a machine that has a core, a DIMM of two LMBs and a PCI device of three functions, all configured.
struct Conversation {
    machine: Tracker,
    events: Vec<Event>,
}

impl Conversation {
    fn begin() -> Self {
        let offer = Offer::new(Indicator(REPORTS), Classes::CPU | Classes::MEMORY, Features::TOKEN);
        let mut machine = Tracker::new(Config::default().offer(offer));
        let functions = FUNCTIONS.map(|function| (Resource::PCI, Span::from(function)));
        let others = [(Resource::CPU, Span::from(CORE)), (Resource::MEMORY, Span::new(LMB0, 2).unwrap())];
        for (resource, span) in others.into_iter().chain(functions) {
            machine.add_connectors(resource, span).unwrap();
            machine.plug(span).unwrap();
            machine.boot(span.first());
        }
        Self { machine, events: Vec::new() }
    }

    fn armed() -> Self {
        let mut conversation = Self::begin();
        assert_eq!(conversation.say(REPORTS, 0, ARM), Status::SUCCESS);
        conversation
    }

    fn say(&mut self, indicator: u32, index: u32, word: u32) -> Status {
        self.machine.set_indicator(&[indicator, index, word], &mut self.events).status
    }

    /// Requests the removal of a device, and returns the token.
    fn device_del(&mut self, first: DrcIndex) -> Token {
        match self.machine.request(first, &mut self.events) {
            Ok(Requested::Ask(Ask { token, .. })) => token,
            other => panic!("{other:?}"),
        }
    }

    fn refuse(&mut self, connector: DrcIndex, token: Token) -> Status {
        self.say(REPORTS, connector.0, REFUSED | u32::from(token.0))
    }

    fn hint(&mut self, connector: DrcIndex) -> Status {
        self.say(9001, connector.0, 1)
    }

    fn give_back(&mut self, connector: DrcIndex) -> [Status; 2] {
        [self.say(9001, connector.0, 0), self.say(9003, connector.0, 0)]
    }

    /// Returns how requests ended: id, and reason and evidence of a refusal.
    fn refusals(&self) -> Vec<(u64, Reason, Evidence)> {
        let refusal = |event: &Event| match event {
            Event::Ended(Outcome { request, end: End::Refused(refusal), .. }) => {
                Some((request.0, refusal.reason, refusal.evidence))
            }
            _ => None,
        };
        self.events.iter().filter_map(refusal).collect()
    }

    fn open(&self) -> Vec<u64> {
        self.machine.requests().iter().map(|request| request.id.0).collect()
    }
}

/// PUE-V-031, PUE-V-034: "a report with the token of an ended request is charged to a newer one as reported-in-order".
#[test]
fn report_with_the_token_of_an_ended_request_is_charged_to_no_other() {
    let mut conversation = Conversation::armed();
    let token = conversation.device_del(CORE);
    assert_eq!(conversation.refuse(CORE, token), Status::SUCCESS);
    // The guest disarms, so that the next request has no token, and arms again.
    assert_eq!(conversation.say(REPORTS, 0, 0x4000_0000), Status::SUCCESS);
    assert_eq!(conversation.device_del(CORE), Token::NONE);
    assert_eq!(conversation.say(REPORTS, 0, ARM), Status::SUCCESS);
    assert_eq!(conversation.refuse(CORE, token), Status::ALREADY);
    assert_eq!((conversation.refusals().len(), conversation.open()), (1, vec![2]));
}

/// PUE-V-016, PUE-V-026: "ARM without TOKEN after ARM with TOKEN leaves promised requests that nothing can answer".
#[test]
fn promise_ends_when_the_guest_arms_without_tokens() {
    let mut conversation = Conversation::armed();
    conversation.device_del(CORE);
    assert!(conversation.machine.requests()[0].promised);
    assert_eq!(conversation.say(REPORTS, 0, 0x2000_0006), Status::SUCCESS);
    assert!(!conversation.machine.requests()[0].promised);
    assert_eq!(conversation.refuse(CORE, Token::NONE), Status::SUCCESS);
    assert_eq!(conversation.refusals(), [(1, Reason::UNMOVABLE_PAGE, Evidence::Order)]);
}

/// PUE-V-040: "the kernel's hint comes after ARM and is swallowed: the request is open until rmmod".
#[test]
fn hint_ends_a_request_that_was_made_before_the_guest_armed() {
    let mut conversation = Conversation::begin();
    conversation.device_del(LMB0);
    assert_eq!(conversation.say(REPORTS, 0, ARM), Status::SUCCESS);
    assert_eq!(conversation.hint(LMB0), Status::SUCCESS);
    assert_eq!(conversation.refusals(), [(1, Reason::UNATTRIBUTED, Evidence::Inferred)]);
}

/// PUE-V-043: the module reports the refusal that the hint has ended already; its token was lost.
#[test]
fn report_that_repeats_a_hint_is_not_the_answer_to_the_next_request() {
    let mut conversation = Conversation::begin();
    for _ in 0..2 {
        assert_eq!(conversation.device_del(LMB0), Token::NONE);
    }
    assert_eq!(conversation.say(REPORTS, 0, ARM), Status::SUCCESS);
    assert_eq!(conversation.hint(LMB0), Status::SUCCESS);
    assert_eq!(conversation.refuse(LMB1, Token::NONE), Status::ALREADY);
    assert_eq!(conversation.open(), [2]);
    // The next attempt has no hint.
    assert_eq!(conversation.refuse(LMB1, Token::NONE), Status::SUCCESS);
    let expected = [(1, Reason::UNATTRIBUTED, Evidence::Inferred), (2, Reason::UNMOVABLE_PAGE, Evidence::Order)];
    assert_eq!(conversation.refusals(), expected);
}

/// PUE-V-043: a module that is loaded again after a hint, and reads no tokens, repeats no refusal of before.
#[test]
fn report_after_a_hint_answers_the_next_request_when_the_guest_has_armed_anew() {
    const WITHOUT_TOKEN: u32 = 0x2000_0006;
    for anew in [&[WITHOUT_TOKEN][..], &[0x4000_0000, WITHOUT_TOKEN]] {
        let mut conversation = Conversation::begin();
        assert_eq!(conversation.say(REPORTS, 0, WITHOUT_TOKEN), Status::SUCCESS);
        assert_eq!(conversation.device_del(LMB0), Token::NONE);
        assert_eq!(conversation.hint(LMB0), Status::SUCCESS);
        assert_eq!(conversation.device_del(LMB0), Token::NONE);
        for word in anew {
            assert_eq!(conversation.say(REPORTS, 0, *word), Status::SUCCESS);
        }
        assert_eq!(conversation.refuse(LMB1, Token::NONE), Status::SUCCESS);
        let expected = [(1, Reason::UNATTRIBUTED, Evidence::Inferred), (2, Reason::UNMOVABLE_PAGE, Evidence::Order)];
        assert_eq!(conversation.refusals(), expected);
    }
}

/// PUE-V-043: "an armed guest's STARTED comes between": the attempt that hinted was one that no report follows.
#[test]
fn report_after_a_hint_answers_the_next_request_when_the_guest_has_begun_with_it() {
    let mut conversation = Conversation::begin();
    assert_eq!(conversation.say(REPORTS, 0, 0x2000_0006), Status::SUCCESS);
    for _ in 0..2 {
        assert_eq!(conversation.device_del(LMB0), Token::NONE);
    }
    assert_eq!(conversation.hint(LMB0), Status::SUCCESS);
    assert_eq!(conversation.say(REPORTS, LMB0.0, 0x6000_0000), Status::SUCCESS);
    assert_eq!(conversation.refuse(LMB1, Token::NONE), Status::SUCCESS);
    assert_eq!(conversation.open(), [0_u64; 0]);
}

/// PUE-V-052: "1024 silent retries of one core and device_del fails for every device of the VM until a reset".
#[test]
fn device_that_never_answers_stops_no_other() {
    let mut conversation = Conversation::begin();
    let asked = (0..10_000).map(|_| conversation.machine.request(CORE, &mut ()));
    let refused = asked.filter(|made| *made == Err(RequestError::TooManyOfDevice(CORE, 64))).count();
    assert_eq!(refused, 10_000 - 64);
    assert_eq!(conversation.say(REPORTS, 0, ARM), Status::SUCCESS);
    let token = conversation.device_del(LMB0);
    assert_eq!(conversation.refuse(LMB0, token), Status::SUCCESS);
    assert_eq!(conversation.refusals(), [(65, Reason::UNMOVABLE_PAGE, Evidence::Token)]);
    // A withdrawn request makes room.
    assert_eq!(conversation.machine.withdraw(RequestId(7), &mut conversation.events), Ok(()));
    conversation.device_del(CORE);
}

/// PUE-V-057, PUE-V-061
#[test]
fn device_that_is_given_back_after_its_request_was_withdrawn_is_deleted() {
    let mut conversation = Conversation::armed();
    let token = conversation.device_del(CORE);
    assert_eq!(conversation.machine.withdraw(RequestId(1), &mut conversation.events), Ok(()));
    assert_eq!(conversation.machine.withdraw(RequestId(1), &mut ()), Err(RequestError::NoSuchRequest(RequestId(1))));
    assert_eq!(conversation.refuse(CORE, token), Status::ALREADY);
    conversation.give_back(CORE);
    let core = conversation.machine.device(CORE);
    assert!(matches!(
        conversation.events[..],
        [
            Event::Ended(Outcome { end: End::Withdrawn, .. }),
            Event::Deleted(Deletion { by: Cause::Guest, requests: 0, .. })
        ]
    ));
    assert_eq!(core, None);
}

/// PUE-V-055, PUE-V-056: "device_del of a PCI function other than 0 asks nobody, and the list says the guest has not
/// begun".
#[test]
fn function_other_than_0_is_withheld_until_function_0_is_asked_for() {
    let mut conversation = Conversation::begin();
    let [zero, one, two] = FUNCTIONS;
    assert_eq!(conversation.machine.withhold(one, &mut ()), Ok(Requested::Withheld(RequestId(1))));
    assert!(conversation.machine.requests()[0].withheld);
    let asked = conversation.machine.request_together(&[two, one, zero], &mut ()).unwrap();
    assert_eq!(asked.iter().map(|asked| asked.id().0).collect::<Vec<_>>(), [2, 1, 3]);
    assert!(asked.iter().all(|asked| matches!(asked, Requested::Ask(_))));
    assert!(conversation.machine.requests().iter().all(|request| !request.withheld));
}

/// PUE-V-056: "at the bound, device_del of function 0 fails and yet asks for functions 1 and 2".
#[test]
fn functions_of_a_slot_are_all_asked_for_or_none() {
    let mut machine = Tracker::new(Config::default().max_open(2));
    for function in FUNCTIONS {
        machine.add_connectors(Resource::PCI, function.into()).unwrap();
        machine.plug(function.into()).unwrap();
        machine.boot(function);
    }
    let before = machine.save();
    let [zero, one, two] = FUNCTIONS;
    let asked = machine.request_together(&[two, one, zero], &mut ());
    assert_eq!((asked, machine.save()), (Err(RequestError::TooMany(2)), before));
}

/// PUE-V-068: a function that is behind a PHB goes with it, and so its request ends as that of the PHB does.
#[test]
fn request_for_a_function_is_released_with_the_phb_that_the_guest_gives_back() {
    const PHB: DrcIndex = DrcIndex(0x2000_0001);
    let mut conversation = Conversation::begin();
    let machine = &mut conversation.machine;
    machine.set_offer(Offer::new(Indicator(REPORTS), Classes::all(), Features::TOKEN), &mut ());
    machine.add_connectors(Resource::PHB, PHB.into()).unwrap();
    machine.plug(PHB.into()).unwrap();
    machine.reset(&mut ());
    assert_eq!(conversation.say(REPORTS, 0, 0x2001_0030), Status::SUCCESS);
    let tokens = [FUNCTIONS[0], PHB].map(|first| conversation.device_del(first));
    assert_eq!(tokens, [Token(1), Token(2)]);
    assert_eq!(conversation.give_back(PHB), [Status::SUCCESS; 2]);
    // The VMM deletes the PHB, and with it what is behind.
    assert!(conversation.machine.unplug_released(FUNCTIONS[0], &mut conversation.events));
    assert!(!conversation.machine.unplug_released(FUNCTIONS[0], &mut ()));
    let ended = conversation.events.iter().filter_map(|event| match event {
        Event::Ended(outcome) => Some((outcome.request.0, outcome.end)),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [(2, End::Released), (1, End::Released)]);
    // The agent that had the function's event reports what no longer matters.
    assert_eq!(conversation.refuse(FUNCTIONS[0], tokens[0]), Status::ALREADY);
    assert_eq!(conversation.open(), [0_u64; 0]);
}

/// PUE-V-064, PUE-V-067: "one LMB removed inside the guest, then device_del: incomplete at every retry".
#[test]
fn dimm_of_which_the_guest_gave_an_lmb_back_unasked_goes_when_it_is_asked_for() {
    let mut conversation = Conversation::armed();
    assert_eq!(conversation.give_back(LMB0), [Status::SUCCESS; 2]);
    assert!(conversation.machine.device(LMB0).is_some() && conversation.events.is_empty());
    conversation.device_del(LMB0);
    assert_eq!(conversation.give_back(LMB1), [Status::SUCCESS; 2]);
    assert_eq!(conversation.machine.device(LMB0), None);
    assert!(matches!(conversation.events[1], Event::Deleted(Deletion { by: Cause::Guest, requests: 1, .. })));
}

/// PUE-V-105: a reset and a negotiation delete devices, too, and say so.
#[test]
fn deletion_says_what_took_the_device_and_which_requests_it_ends() {
    for (reset, by, end) in [
        (Tracker::reset as fn(&mut Tracker, &mut Vec<Event>), Cause::Reset, End::Reset),
        (Tracker::cas, Cause::Cas, End::Cas),
    ] {
        let mut conversation = Conversation::begin();
        conversation.device_del(CORE);
        conversation.device_del(LMB0);
        conversation.device_del(CORE);
        reset(&mut conversation.machine, &mut conversation.events);
        let told: Vec<(u64, Option<Cause>)> = conversation
            .events
            .iter()
            .map(|event| match event {
                Event::Ended(outcome) if outcome.end == end => (outcome.request.0, None),
                Event::Deleted(deletion) => (deletion.requests.into(), Some(deletion.by)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [(1, None), (3, None), (2, Some(by)), (2, None), (1, Some(by))]);
    }
}
