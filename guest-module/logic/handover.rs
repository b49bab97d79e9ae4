// SPDX-License-Identifier: GPL-2.0-only

//! Hand-over of requests to user space: which process has a request, and how its attempt ended.
//!
//! The kernel leaves the events for slots, PHBs and PCI functions to user space. It keeps the last
//! [`LOG`] events in a log, and a process that reads `/proc/powerpc/rtas/error_log` takes the
//! oldest. This reader (`rtas_errd`) starts a child (`drmgr`), waits for it, and reads again. So an
//! attempt has ended when the child has exited, or when the reader reads again or exits and has
//! started no child. A request that nobody reads has ended when no process has the log open. There
//! is no clock.

use super::{cause::Cause, errno, request_queue::may_be_one_device};
use crate::wire::{hotplug::HotplugRequest, reason::Reason, token::Token};
use core::{fmt, mem};

/// The number of events that the kernel keeps for user space (`LOG_NUMBER`).
const LOG: u32 = 64;
/// The number of requests that are known at the same time. As many as the kernel keeps can wait for
/// a reader, and as many again be with one, or be answered.
pub const CAPACITY: usize = 2 * LOG as usize;
/// The number of processes that can be waited for.
const SLEEPERS: usize = 8;

/// A process, known by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// A request that user space has, or had when it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    request: HotplugRequest,
    /// The token in the event, by which the event is known when it is read.
    logged: Token,
    /// The token for reports.
    token: Token,
    /// The number of the request, in the order in which they came.
    number: u32,
    place: Place,
    stage: Stage,
    /// True if it has not been told that the attempt has begun.
    begins: bool,
    /// The last obstacle that the child met.
    obstacle: Option<Obstacle>,
}

/// The place of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The log, which had so many events with this one.
    Log(u32),
    /// A process that has read it, and the child that the process has started for it.
    Process {
        /// The reader, while it lives.
        reader: Option<Process>,
        /// The child.
        child: Option<Process>,
    },
    /// None: neither will anybody read it, nor does anybody work on it.
    Nowhere,
}

/// The progress of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request is in the slot.
    Unused,
    /// The attempt has not ended.
    Open,
    /// The attempt has ended, which has not been told.
    Ended(End),
    /// The end has been told, and the event is still in the log.
    Answered,
}

/// The waking of processes that may be reading and not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waking {
    /// None is needed.
    Done,
    /// Processes have to be woken.
    Due,
    /// Processes are being woken, of which not all need be known yet.
    Begun,
}

/// Obstacle that the child of a reader met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Another process holds a lock.
    Locked,
    /// The kernel did not change the device tree, with this error.
    Undetached(i32),
}

/// End of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No process had the log open.
    NoReader,
    /// The event fell out of the log, or never came there.
    Dropped,
    /// The reader started no child.
    Ignored,
    /// The child exited with this status: 0, its own, or 128 and the number of a signal.
    Exited(u8, Option<Obstacle>),
    /// The end of the attempt was not seen.
    Unseen,
}

/// The consequence of reading an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// An attempt begins.
    Begins,
    /// The request has been answered, so that nobody may begin with it (PUE-G-071).
    Void,
    /// An attempt begins that cannot be followed for want of room.
    NoRoom,
}

/// Something to be told about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    nth: usize,
    /// The request.
    pub request: HotplugRequest,
    /// The token for the report.
    pub token: Token,
    /// The end of the attempt; `None` if the attempt has begun.
    pub end: Option<End>,
}

/// The requests that user space has.
#[derive(Debug)]
pub struct Handover {
    handed: &'static mut [Handed],
    /// The number of slots up to the last one that is used. Every probe looks at these.
    used: usize,
    /// The number of the newest request.
    newest: u32,
    /// The number of events that the log has had.
    logged: u32,
    /// Processes that were reading before their reading could be seen.
    sleepers: [Option<Process>; SLEEPERS],
    /// True if there were more of them.
    has_more_sleepers: bool,
    /// True if it has to be found out whether a process has the log open.
    look_due: bool,
    /// The waking of processes that may be reading.
    waking: Waking,
    /// True if it has to be found out whether probes fire.
    check_due: bool,
    /// True if the log takes no events any more.
    is_over: bool,
}

impl Handed {
    /// A request of nothing, which fills unused room.
    pub const EMPTY: Self = Self {
        request: HotplugRequest::ZERO,
        logged: Token::NONE,
        token: Token::NONE,
        number: 0,
        place: Place::Nowhere,
        stage: Stage::Unused,
        begins: false,
        obstacle: None,
    };

    /// Returns whether there is a request that has not been answered.
    pub fn is_unanswered(&self) -> bool {
        !matches!(self.stage, Stage::Unused | Stage::Answered)
    }

    /// Returns whether the attempt has not ended, and no child is known whose end would be seen.
    fn may_be_read(&self) -> bool {
        let has_child = matches!(self.place, Place::Process { child: Some(_), .. });
        self.stage == Stage::Open && !has_child
    }

    fn is_due(&self) -> bool {
        self.begins || matches!(self.stage, Stage::Ended(_))
    }

    fn has_left_log(&mut self, end: End) {
        self.place = Place::Nowhere;
        match self.stage {
            Stage::Open => self.stage = Stage::Ended(end),
            Stage::Answered => *self = Self::EMPTY,
            Stage::Ended(_) | Stage::Unused => {}
        }
    }

    fn ends(&mut self, end: End) {
        self.stage = Stage::Ended(end);
        if !matches!(self.place, Place::Log(_)) {
            self.place = Place::Nowhere;
        }
    }

    /// Returns the reader and the child of an attempt that has not ended.
    fn processes(&mut self) -> Option<(&mut Option<Process>, &mut Option<Process>)> {
        match (&mut self.place, self.stage) {
            (Place::Process { reader, child }, Stage::Open) => Some((reader, child)),
            _ => None,
        }
    }
}

impl End {
    /// Returns the cause of the refusal, if the guest has not given the device back.
    pub fn cause(self) -> Cause {
        match self {
            Self::NoReader => Cause::of(Reason::NO_AGENT, 0),
            Self::Dropped => Cause::of(Reason::DROPPED, 0),
            Self::Exited(0, _) => Cause::of(Reason::INCOMPLETE, 0),
            Self::Exited(_, Some(Obstacle::Locked)) => Cause::of(Reason::BUSY, errno::EAGAIN),
            Self::Exited(_, Some(Obstacle::Undetached(errno))) => {
                Cause::of(Reason::DETACH_FAILED, errno)
            }
            Self::Exited(status, None) => Cause::of(Reason::AGENT_FAILED, -i32::from(status)),
            Self::Ignored => Cause::of(Reason::AGENT_FAILED, 0),
            Self::Unseen => Cause::of(Reason::UNATTRIBUTED, 0),
        }
    }
}

impl Handover {
    /// Returns a table without room.
    pub const fn new() -> Self {
        Self {
            handed: &mut [],
            used: 0,
            newest: 0,
            logged: 0,
            sleepers: [None; SLEEPERS],
            has_more_sleepers: false,
            look_due: false,
            waking: Waking::Done,
            check_due: false,
            is_over: false,
        }
    }

    /// Returns an empty table with this room.
    pub fn with(room: &'static mut [Handed]) -> Self {
        Self { handed: room, ..Self::new() }
    }

    /// Stores that the log has had so many events. The oldest may have fallen out of it.
    pub fn log_has(&mut self, logged: u32) {
        self.logged = logged;
        for handed in self.used_mut() {
            if matches!(handed.place, Place::Log(nth) if logged.wrapping_sub(nth) >= LOG) {
                handed.has_left_log(End::Dropped);
            }
        }
        self.trim();
    }

    /// Stores that the newest event in the log has a request. Returns `false` if there is no room.
    pub fn logs(&mut self, request: &HotplugRequest, token: Token) -> bool {
        let request = Handed { request: *request, logged: token, token, ..Handed::EMPTY };
        let (place, stage) = if self.is_over {
            (Place::Nowhere, Stage::Ended(End::Dropped))
        } else {
            self.look_due = true;
            (Place::Log(self.logged), Stage::Open)
        };
        self.add(Handed { place, stage, ..request })
    }

    /// Returns whether the newest request is this one.
    pub fn is_newest(&self, request: &HotplugRequest, token: Token) -> bool {
        self.used().iter().any(|handed| {
            (handed.number, handed.request, handed.logged) == (self.newest, *request, token)
        })
    }

    /// Stores that the log takes no events any more.
    pub fn log_is_over(&mut self) {
        self.is_over = true;
    }

    /// Stores that a process has the log closed, or may have.
    pub fn closes(&mut self) {
        self.look_due = self
            .used()
            .iter()
            .any(|handed| matches!((handed.place, handed.stage), (Place::Log(_), Stage::Open)));
    }

    /// Returns whether it has to be found out whether a process has the log open, for events up to
    /// the one that is returned. That is due once.
    pub fn take_look(&mut self) -> Option<u32> {
        mem::take(&mut self.look_due).then_some(self.logged)
    }

    /// Stores that no process has the log open. `logged` is the number of events in the log at the
    /// time.
    pub fn nobody_reads(&mut self, logged: u32) {
        for handed in self.used_mut().iter_mut().filter(|handed| handed.stage == Stage::Open) {
            if matches!(handed.place, Place::Log(nth) if logged.wrapping_sub(nth) < LOG) {
                handed.ends(End::NoReader);
            }
        }
    }

    /// Begins to wake processes that read, so that they are seen to read again: [`Self::sleeps`]
    /// has to be called for each of them, and then [`Self::all_are_woken`].
    pub fn begin_waking(&mut self) {
        self.waking = Waking::Begun;
        (self.sleepers, self.has_more_sleepers) = ([None; SLEEPERS], false);
    }

    /// Stores that each process is known that was woken.
    pub fn all_are_woken(&mut self) {
        if self.waking == Waking::Begun {
            self.waking = Waking::Done;
        }
    }

    /// Returns whether processes that read have to be woken.
    pub fn is_waking_due(&self) -> bool {
        self.waking == Waking::Due
    }

    /// Returns whether it has to be found out whether probes fire. That is due once.
    pub fn take_check(&mut self) -> bool {
        mem::take(&mut self.check_due)
    }

    /// Stores that a process was reading before its reading could be seen. What it reads is not
    /// known.
    pub fn sleeps(&mut self, process: Process) {
        if self.sleepers.contains(&Some(process)) {
            return;
        }
        match self.sleepers.iter_mut().find(|sleeper| sleeper.is_none()) {
            Some(sleeper) => *sleeper = Some(process),
            None => self.has_more_sleepers = true,
        }
    }

    /// Stores that a process reads. It has done with what it has read before, unless it has started
    /// a child for it.
    pub fn reads(&mut self, process: Process) {
        self.wakes(process);
        for handed in self.used_mut() {
            if matches!(handed.processes(), Some((reader, None)) if *reader == Some(process)) {
                handed.ends(End::Ignored);
            }
        }
    }

    /// Stores that a process has read an event with a request. An event of which nothing is known
    /// is older than the module. Its token may have been given by another hypervisor.
    pub fn has_read(
        &mut self,
        process: Process,
        request: &HotplugRequest,
        token: Token,
    ) -> Reading {
        let place = Place::Process { reader: Some(process), child: None };
        let newest = self.newest;
        let in_log = self.used_mut().iter_mut().filter(|handed| {
            matches!(handed.place, Place::Log(_))
                && (handed.request, handed.logged) == (*request, token)
        });
        let Some(handed) = in_log.max_by_key(|handed| newest.wrapping_sub(handed.number)) else {
            let begun = Handed { request: *request, place, stage: Stage::Open, ..Handed::EMPTY };
            let fits = self.add(Handed { begins: true, ..begun });
            return if fits { Reading::Begins } else { Reading::NoRoom };
        };
        let age = newest.wrapping_sub(handed.number);
        let is_open = handed.stage == Stage::Open;
        if is_open {
            (handed.place, handed.begins) = (place, true);
        } else {
            handed.has_left_log(End::Unseen);
        }
        // The oldest event is read first, so that those before it have been read and not seen.
        for handed in self.used_mut() {
            let is_older = newest.wrapping_sub(handed.number) > age;
            if is_older && matches!(handed.place, Place::Log(_)) {
                handed.has_left_log(End::Unseen);
            }
        }
        self.trim();
        if is_open {
            Reading::Begins
        } else {
            Reading::Void
        }
    }

    /// Stores that a process has started another one. It may be the reader of a request that was
    /// read while probes did not fire.
    pub fn forks(&mut self, parent: Process, process: Process) {
        for (reader, child) in self.used_mut().iter_mut().filter_map(Handed::processes) {
            if *reader == Some(parent) {
                child.get_or_insert(process);
            }
        }
        self.checks_if_read();
    }

    /// Stores that a process has met an obstacle, if it is the child of a reader.
    pub fn meets(&mut self, process: Process, obstacle: Obstacle) {
        for handed in self.used_mut() {
            if matches!(handed.processes(), Some((_, child)) if *child == Some(process)) {
                handed.obstacle = Some(obstacle);
            }
        }
    }

    /// Stores that a process has exited, with its status as `wait()` gives it. It may have worked
    /// on a request that was read while probes did not fire.
    pub fn exits(&mut self, process: Process, status: u32) {
        self.wakes(process);
        self.checks_if_read();
        let status = match status as u8 & 0x7F {
            0 => (status >> 8) as u8,
            signal => 0x80 | signal,
        };
        for handed in self.used_mut() {
            let obstacle = handed.obstacle;
            match handed.processes() {
                Some((_, child)) if *child == Some(process) => {
                    handed.ends(End::Exited(status, obstacle));
                }
                Some((reader, child)) if *reader == Some(process) => {
                    *reader = None;
                    if child.is_none() {
                        handed.ends(End::Ignored);
                    }
                }
                _ => {}
            }
        }
    }

    /// Ends every attempt as unseen. Their events are void when they are read. One without a token
    /// cannot be told from a later one for the same device, so that it is forgotten.
    pub fn loses_sight(&mut self) {
        self.waking = Waking::Due;
        for handed in self.used_mut().iter_mut().filter(|handed| handed.stage == Stage::Open) {
            if handed.may_be_read() && !handed.logged.is_some() {
                *handed = Handed::EMPTY;
            } else {
                handed.ends(End::Unseen);
            }
        }
        self.trim();
    }

    /// Forgets every request that may have been read, as probes do not fire. The end of a child is
    /// seen without them.
    pub fn goes_blind(&mut self) {
        self.waking = Waking::Due;
        for handed in self.used_mut().iter_mut().filter(|handed| handed.may_be_read()) {
            *handed = Handed::EMPTY;
        }
        self.trim();
    }

    /// Makes every request one without a token.
    pub fn forget_tokens(&mut self) {
        self.used_mut().iter_mut().for_each(|handed| handed.token = Token::NONE);
    }

    /// Returns whether every request that comes from now on can be answered, and every one before
    /// has been.
    pub fn is_ready(&self) -> bool {
        !self.is_over
            && self.waking == Waking::Done
            && !self.has_more_sleepers
            && self.sleepers.iter().all(Option::is_none)
            && !self.used().iter().any(Handed::is_unanswered)
    }

    /// Returns whether the starts and ends of processes matter.
    pub fn follows_processes(&self) -> bool {
        self.waking == Waking::Begun
            || self.sleepers.iter().any(Option::is_some)
            || self.used().iter().any(|handed| handed.stage == Stage::Open)
    }

    /// Returns whether something is to be told or found out.
    pub fn is_unsettled(&self) -> bool {
        self.look_due || self.check_due || self.due().is_some()
    }

    /// Returns the oldest thing to be told. The answer for a request waits until those before it
    /// for the same device have been answered (PUE-G-035).
    pub fn due(&self) -> Option<Due> {
        let due = self.used().iter().enumerate();
        let due = due.filter(|(_, handed)| handed.is_due() && !self.is_behind(handed));
        let (nth, handed) = due.max_by_key(|(_, handed)| self.age(handed))?;
        let end = match handed.stage {
            Stage::Ended(end) if !handed.begins => Some(end),
            _ => None,
        };
        Some(Due { nth, request: handed.request, token: handed.token, end })
    }

    /// Stores that it has been told.
    pub fn told(&mut self, due: &Due) {
        let Some(handed) = self.handed.get_mut(due.nth) else { return };
        handed.begins = false;
        if due.end.is_some() {
            handed.stage = Stage::Answered;
            if handed.place == Place::Nowhere {
                *handed = Handed::EMPTY;
                self.trim();
            }
        }
    }

    /// Returns the request in slot `nth`, used or not; `None` behind the last slot.
    pub fn get(&self, nth: usize) -> Option<&Handed> {
        self.handed.get(nth)
    }

    fn add(&mut self, handed: Handed) -> bool {
        let is_unused = |handed: &Handed| handed.stage == Stage::Unused;
        let Some(nth) = self.handed.iter().position(is_unused) else { return false };
        self.newest = self.newest.wrapping_add(1);
        if let Some(unused) = self.handed.get_mut(nth) {
            *unused = Handed { number: self.newest, ..handed };
        }
        self.used = self.used.max(nth.wrapping_add(1));
        true
    }

    fn used(&self) -> &[Handed] {
        self.handed.get(..self.used).unwrap_or_default()
    }

    fn used_mut(&mut self) -> &mut [Handed] {
        self.handed.get_mut(..self.used).unwrap_or_default()
    }

    fn trim(&mut self) {
        let is_used = |handed: &Handed| handed.stage != Stage::Unused;
        self.used = self.used().iter().rposition(is_used).map_or(0, |last| last.wrapping_add(1));
    }

    fn checks_if_read(&mut self) {
        self.check_due |= self.used().iter().any(Handed::may_be_read);
    }

    fn wakes(&mut self, process: Process) {
        for sleeper in self.sleepers.iter_mut().filter(|sleeper| **sleeper == Some(process)) {
            *sleeper = None;
        }
    }

    fn is_behind(&self, handed: &Handed) -> bool {
        self.used().iter().any(|other| {
            other.is_unanswered()
                && self.age(other) > self.age(handed)
                && may_be_one_device(&other.request, &handed.request)
        })
    }

    fn age(&self, handed: &Handed) -> u32 {
        self.newest.wrapping_sub(handed.number)
    }
}

/// The line of the debugfs file `handover`.
impl fmt::Display for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "resource={}", self.request.resource)?;
        if let Some(connector) = self.request.target().connector() {
            write!(f, " connector={connector}")?;
        }
        if self.token.is_some() {
            write!(f, " token={}", self.token)?;
        }
        match self.place {
            Place::Log(_) => f.write_str(" place=log"),
            Place::Process { reader, child } => {
                f.write_str(" place=process")?;
                if let Some(Process(reader)) = reader {
                    write!(f, " reader={reader}")?;
                }
                child.map_or(Ok(()), |Process(child)| write!(f, " child={child}"))
            }
            Place::Nowhere => f.write_str(" place=none"),
        }
    }
}

#[cfg(test)]
#[path = "handover/tests.rs"]
mod tests;
