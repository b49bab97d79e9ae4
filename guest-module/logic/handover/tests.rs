// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the hand-over: the ends of attempts, and every order of what can happen.

use super::*;
use std::{collections::HashMap, string::ToString, vec, vec::Vec};

const READER: Process = Process(100);
const OTHER: Process = Process(101);
const CHILD: Process = Process(200);

fn pci(n: u8) -> HotplugRequest {
    HotplugRequest::from([5, 2, 2, 0x80, 0x40, 0, 0, n, 0, 0, 0, 0])
}

fn with_room(room: usize) -> Handover {
    Handover::with(Vec::leak(vec![Handed::EMPTY; room]))
}

/// Logs the next event, for device `n`, with this token.
fn log(handover: &mut Handover, n: u8, token: u16) -> bool {
    handover.log_has(handover.logged + 1);
    handover.logs(&pci(n), Token(token))
}

fn read(handover: &mut Handover, n: u8, token: u16) -> Reading {
    handover.reads(READER);
    handover.has_read(READER, &pci(n), Token(token))
}

/// Returns all that is told now: the token, and the end or `None` for the beginning.
fn told(handover: &mut Handover) -> Vec<(u16, Option<End>)> {
    std::iter::from_fn(|| {
        let due = handover.due()?;
        handover.told(&due);
        Some((due.token.0, due.end))
    })
    .collect()
}

/// Returns a table in which the child of the reader works on device 1, with token 7.
fn with_child() -> Handover {
    let mut handover = with_room(CAPACITY);
    assert!(log(&mut handover, 1, 7));
    assert_eq!(read(&mut handover, 1, 7), Reading::Begins);
    handover.forks(READER, CHILD);
    assert_eq!(told(&mut handover), [(7, None)]);
    handover
}

/// PUE-G-070
#[test]
fn request_that_nobody_reads_ends_when_nobody_has_the_log_open() {
    let mut handover = with_room(CAPACITY);
    log(&mut handover, 1, 7);
    assert_eq!(handover.take_look(), Some(1));
    assert_eq!(handover.take_look(), None);
    log(&mut handover, 2, 8);
    handover.nobody_reads(1);
    assert_eq!(told(&mut handover), [(7, Some(End::NoReader))]);
    assert_eq!(handover.take_look(), Some(2));
    handover.closes();
    assert_eq!(handover.take_look(), Some(2));
    handover.nobody_reads(2);
    assert_eq!(told(&mut handover), [(8, Some(End::NoReader))]);
    handover.closes();
    assert_eq!(handover.take_look(), None);
}

/// PUE-G-070, PUE-G-039
#[test]
fn attempt_ends_with_the_status_of_the_child() {
    for (status, expected) in [(0, 0), (0x0100, 1), (0xFF00, 255), (9, 137), (0x8B, 139)] {
        let mut handover = with_child();
        handover.reads(READER);
        handover.exits(OTHER, 0);
        assert_eq!(told(&mut handover), []);
        handover.exits(CHILD, status);
        assert_eq!(told(&mut handover), [(7, Some(End::Exited(expected, None)))]);
        assert!(handover.is_ready());
    }
}

#[test]
fn status_and_obstacle_of_the_child_are_the_cause() {
    let cause = |status, obstacle| End::Exited(status, obstacle).cause();
    assert_eq!(cause(255, None), Cause::of(Reason::AGENT_FAILED, -255));
    assert_eq!(cause(0, None), Cause::of(Reason::INCOMPLETE, 0));
    assert_eq!(cause(255, Some(Obstacle::Locked)), Cause::of(Reason::BUSY, -11));
    let undetached = Some(Obstacle::Undetached(-12));
    assert_eq!(cause(255, undetached), Cause::of(Reason::DETACH_FAILED, -12));
    assert_eq!(cause(0, undetached), Cause::of(Reason::INCOMPLETE, 0));
    let ends = [End::NoReader, End::Dropped, End::Ignored, End::Unseen];
    let reasons = [Reason::NO_AGENT, Reason::DROPPED, Reason::AGENT_FAILED, Reason::UNATTRIBUTED];
    assert_eq!(ends.map(|end| end.cause()), reasons.map(|reason| Cause::of(reason, 0)));
}

#[test]
fn obstacle_of_the_child_is_kept_and_of_no_other_process() {
    let mut handover = with_child();
    handover.meets(OTHER, Obstacle::Undetached(-1));
    handover.meets(CHILD, Obstacle::Locked);
    handover.exits(CHILD, 0xFF00);
    let end = End::Exited(255, Some(Obstacle::Locked));
    assert_eq!(told(&mut handover), [(7, Some(end))]);
}

/// PUE-G-070
#[test]
fn reader_that_reads_again_or_exits_without_a_child_has_ignored_the_request() {
    for reads in [true, false] {
        let mut handover = with_room(CAPACITY);
        log(&mut handover, 1, 7);
        read(&mut handover, 1, 7);
        handover.reads(OTHER);
        assert_eq!(told(&mut handover), [(7, None)]);
        if reads {
            handover.reads(READER);
        } else {
            handover.exits(READER, 0);
        }
        assert_eq!(told(&mut handover), [(7, Some(End::Ignored))]);
    }
}

#[test]
fn child_that_outlives_its_reader_decides() {
    let mut handover = with_child();
    handover.exits(READER, 9);
    assert_eq!(told(&mut handover), []);
    assert!(handover.follows_processes());
    // The number is that of a process again, which has nothing to do with the request.
    handover.reads(READER);
    handover.forks(READER, OTHER);
    handover.exits(OTHER, 0);
    assert_eq!(told(&mut handover), []);
    handover.exits(CHILD, 0);
    assert_eq!(told(&mut handover), [(7, Some(End::Exited(0, None)))]);
    assert!(!handover.follows_processes());
}

/// PUE-G-071
#[test]
fn request_that_was_answered_is_void_when_it_is_read() {
    for tell_first in [true, false] {
        let mut handover = with_room(CAPACITY);
        log(&mut handover, 1, 7);
        handover.nobody_reads(1);
        let end = (7, Some(End::NoReader));
        if tell_first {
            assert_eq!(told(&mut handover), [end]);
        }
        assert_eq!(read(&mut handover, 1, 7), Reading::Void);
        assert_eq!(told(&mut handover), if tell_first { vec![] } else { vec![end] });
        // It is in the log no longer: what is read now is another event.
        assert_eq!(read(&mut handover, 1, 7), Reading::Begins);
    }
}

#[test]
fn event_older_than_the_module_is_followed_without_its_token() {
    let mut handover = with_room(CAPACITY);
    assert_eq!(read(&mut handover, 1, 7), Reading::Begins);
    handover.reads(READER);
    assert_eq!(told(&mut handover), [(0, None), (0, Some(End::Ignored))]);
}

#[test]
fn same_device_twice_is_read_in_order() {
    let mut handover = with_room(CAPACITY);
    for _ in 0..2 {
        log(&mut handover, 1, 0);
    }
    handover.nobody_reads(1);
    assert_eq!(read(&mut handover, 1, 0), Reading::Void);
    assert_eq!(read(&mut handover, 1, 0), Reading::Begins);
}

/// PUE-G-035
#[test]
fn answer_waits_for_the_request_before_it_for_the_same_device_only() {
    let mut handover = with_child();
    log(&mut handover, 1, 8);
    log(&mut handover, 2, 9);
    handover.nobody_reads(3);
    assert_eq!(told(&mut handover), [(9, Some(End::NoReader))]);
    handover.exits(CHILD, 0);
    assert_eq!(told(&mut handover), [(7, Some(End::Exited(0, None))), (8, Some(End::NoReader))]);
}

/// PUE-G-031
#[test]
fn requests_that_fall_out_of_the_log_are_dropped_oldest_first() {
    let mut handover = with_room(CAPACITY);
    let many = 2 * LOG as u16;
    for n in 1..=many {
        assert!(log(&mut handover, n as u8, n), "{n}");
    }
    let dropped: Vec<_> = (1..=many - LOG as u16).map(|n| (n, Some(End::Dropped))).collect();
    assert_eq!(told(&mut handover), dropped);
    assert_eq!(read(&mut handover, (many - LOG as u16) as u8, many - LOG as u16), Reading::Begins);
    assert_eq!(read(&mut handover, many as u8, many), Reading::Begins);
}

#[test]
fn events_of_other_kinds_push_requests_out_of_the_log_too() {
    let mut handover = with_room(CAPACITY);
    log(&mut handover, 1, 7);
    handover.log_has(LOG);
    assert_eq!(told(&mut handover), []);
    handover.log_has(LOG + 1);
    assert_eq!(told(&mut handover), [(7, Some(End::Dropped))]);
}

#[test]
fn answered_event_that_falls_out_of_the_log_leaves_room() {
    let mut handover = with_room(1);
    log(&mut handover, 1, 7);
    handover.nobody_reads(1);
    told(&mut handover);
    assert!(!log(&mut handover, 2, 8));
    handover.log_has(1 + LOG);
    assert!(log(&mut handover, 2, 8));
}

#[test]
fn request_without_room_is_known_to_have_none() {
    let mut handover = with_room(1);
    assert!(log(&mut handover, 1, 7));
    assert!(!log(&mut handover, 2, 8));
    assert_eq!(read(&mut handover, 2, 8), Reading::NoRoom);
}

#[test]
fn log_that_is_over_drops_what_comes() {
    let mut handover = with_room(CAPACITY);
    handover.log_is_over();
    log(&mut handover, 1, 7);
    assert_eq!((told(&mut handover), handover.take_look()), (vec![(7, Some(End::Dropped))], None));
    assert!(!handover.is_ready());
}

/// PUE-G-018
#[test]
fn sight_that_is_lost_ends_every_attempt_and_voids_what_is_in_the_log() {
    let mut handover = with_child();
    log(&mut handover, 2, 8);
    handover.loses_sight();
    assert_eq!(told(&mut handover), [(7, Some(End::Unseen)), (8, Some(End::Unseen))]);
    assert!(!handover.is_ready());
    assert!(handover.is_waking_due());
    handover.begin_waking();
    assert!(handover.follows_processes(), "one may exit before all are known");
    handover.loses_sight();
    handover.all_are_woken();
    assert!(handover.is_waking_due(), "sight was lost meanwhile");
    handover.begin_waking();
    handover.all_are_woken();
    assert!(handover.is_ready() && !handover.follows_processes());
    assert_eq!(read(&mut handover, 2, 8), Reading::Void);
}

/// PUE-G-018: the log gives the oldest event first.
#[test]
fn request_that_is_older_than_one_that_is_read_was_read_unseen() {
    let mut handover = with_room(CAPACITY);
    (1..=3).for_each(|n| assert!(log(&mut handover, n, 6 + u16::from(n))));
    assert_eq!(read(&mut handover, 2, 8), Reading::Begins);
    assert_eq!(told(&mut handover), [(7, Some(End::Unseen)), (8, None)]);
    assert_eq!(read(&mut handover, 3, 9), Reading::Begins);
}

#[test]
fn nothing_can_be_kept_while_a_process_reads_unseen() {
    for exits in [true, false] {
        let mut handover = with_room(CAPACITY);
        handover.sleeps(READER);
        handover.sleeps(OTHER);
        handover.reads(OTHER);
        assert!(!handover.is_ready() && handover.follows_processes());
        if exits {
            handover.exits(READER, 0);
        } else {
            handover.reads(READER);
        }
        assert!(handover.is_ready() && !handover.follows_processes());
    }
    let mut handover = with_room(CAPACITY);
    (1..=SLEEPERS as u32 + 1).for_each(|n| handover.sleeps(Process(n)));
    (1..=SLEEPERS as u32 + 1).for_each(|n| handover.reads(Process(n)));
    assert!(!handover.is_ready());
}

#[test]
fn tokens_are_forgotten_and_events_known_all_the_same() {
    let mut handover = with_child();
    log(&mut handover, 2, 8);
    handover.forget_tokens();
    assert_eq!(read(&mut handover, 2, 8), Reading::Begins);
    handover.exits(CHILD, 0);
    assert_eq!(told(&mut handover), [(0, Some(End::Exited(0, None))), (0, None)]);
}

#[test]
fn line_says_which_process_has_the_request() {
    let mut handover = with_room(CAPACITY);
    let line = |handover: &Handover| handover.get(0).unwrap().to_string();
    log(&mut handover, 8, 7);
    let request = "resource=pci connector=0x40000008 token=0x0007";
    assert_eq!(line(&handover), std::format!("{request} place=log"));
    read(&mut handover, 8, 7);
    assert_eq!(line(&handover), std::format!("{request} place=process reader=100"));
    handover.forks(READER, CHILD);
    assert_eq!(line(&handover), std::format!("{request} place=process reader=100 child=200"));
    handover.exits(READER, 0);
    assert_eq!(line(&handover), std::format!("{request} place=process child=200"));
    handover.exits(CHILD, 0);
    assert_eq!(line(&handover), std::format!("{request} place=none"));
}

/// Something that happens in user space.
#[derive(Clone, Copy, Debug)]
enum Input {
    Log(u8),
    Read(Process),
    Fork(Process),
    Exit(Process),
    Close,
    Tell,
    LoseSight,
    GoBlind,
}

/// A kernel with a log, and the processes that read it.
struct World {
    handover: Handover,
    log: Vec<(u8, u16)>,
    tokens: u16,
    /// The answers to each token.
    answers: HashMap<u16, u32>,
    /// The tokens of the requests with which a process has begun.
    begun: Vec<u16>,
    /// The first token that is promised to be answered.
    promised_from: u16,
}

impl World {
    fn new() -> Self {
        let handover = with_room(8);
        let (log, answers, begun) = (vec![], HashMap::new(), vec![]);
        Self { handover, log, tokens: 0, answers, begun, promised_from: 1 }
    }

    fn happens(&mut self, input: Input) {
        let handover = &mut self.handover;
        match input {
            Input::Log(device) => {
                self.tokens += 1;
                assert!(log(handover, device, self.tokens));
                self.log.push((device, self.tokens));
            }
            Input::Read(process) => {
                handover.reads(process);
                if !self.log.is_empty() {
                    let (device, token) = self.log.remove(0);
                    match handover.has_read(process, &pci(device), Token(token)) {
                        Reading::Begins => {
                            assert!(!self.answers.contains_key(&token));
                            self.begun.push(token);
                        }
                        Reading::Void => assert!(!self.begun.contains(&token)),
                        Reading::NoRoom => panic!("there is room"),
                    }
                }
            }
            Input::Fork(parent) => handover.forks(parent, Process(parent.0 + 100)),
            Input::Exit(process) => handover.exits(process, 0x0100),
            Input::Close => {
                let newest = handover.logged;
                handover.nobody_reads(newest);
            }
            Input::Tell => self.tell(),
            Input::LoseSight => handover.loses_sight(),
            Input::GoBlind => {
                handover.goes_blind();
                self.promised_from = self.tokens + 1;
            }
        }
    }

    fn tell(&mut self) {
        for (token, end) in told(&mut self.handover) {
            if end.is_some() {
                *self.answers.entry(token).or_default() += 1;
            }
        }
    }
}

/// PUE-G-030, PUE-G-070, PUE-G-071: whatever happens in whichever order, no request is answered
/// twice, and each is answered when no process is left, unless its promise has ended before.
#[test]
fn each_request_has_one_answer_in_every_order_of_what_happens() {
    const INPUTS: [Input; 13] = [
        Input::Log(1),
        Input::Log(2),
        Input::Read(READER),
        Input::Read(OTHER),
        Input::Fork(READER),
        Input::Fork(OTHER),
        Input::Exit(READER),
        Input::Exit(CHILD),
        Input::Exit(Process(OTHER.0 + 100)),
        Input::Close,
        Input::Tell,
        Input::LoseSight,
        Input::GoBlind,
    ];
    const LENGTH: u32 = 5;
    for order in 0..INPUTS.len().pow(LENGTH) {
        let mut world = World::new();
        world.happens(Input::Log(1));
        let nth = |n: u32| INPUTS[order / INPUTS.len().pow(n) % INPUTS.len()];
        (0..LENGTH).for_each(|n| world.happens(nth(n)));
        for process in [CHILD, Process(OTHER.0 + 100), READER, OTHER] {
            world.happens(Input::Exit(process));
        }
        world.happens(Input::Close);
        world.tell();
        for token in 1..=world.tokens {
            let answers = world.answers.get(&token).copied().unwrap_or_default();
            let is_one = answers == 1 || answers == 0 && token < world.promised_from;
            assert!(is_one, "{token}: {:?}", (0..LENGTH).map(nth).collect::<Vec<_>>());
        }
        world.handover.begin_waking();
        world.handover.all_are_woken();
        assert!(world.handover.is_ready());
    }
}
