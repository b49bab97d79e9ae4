// SPDX-License-Identifier: MIT OR Apache-2.0

//! Account of the requests of a history.

use crate::{
    answer::{Answer, Response},
    keeper::{Ending, List, Told},
    machine::Device,
    step::{Step, indicator::REPORTS},
    turn::{LAST_TOKEN, Turn, is_report},
};
use std::{collections::BTreeSet, fmt};

/// The number of requests that can be open, for a device and in all.
const MOST_OF_DEVICE: usize = 64;
const MOST: usize = 1024;

/// The number of outcomes that a VMM keeps.
const KEPT: usize = 64;

/// An account.
#[derive(Debug)]
pub struct Account {
    now: State,
    /// The state that was saved.
    saved: Option<State>,
    /// Requests that have ended.
    ended: BTreeSet<u64>,
    /// The ended requests that the VMM must have in its list, by the steps in which they ended, oldest first.
    latest: Vec<Vec<u64>>,
    /// The highest number that was given.
    last: u64,
    /// Tokens that the guest has read, for reports.
    tokens: Vec<u16>,
    census: Census,
}

/// Numbers of what has happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    /// Turns that were played.
    pub turns: u64,
    /// Requests that were made.
    pub made: u64,
    /// Requests that were refused: by a report that named them by their token, and otherwise.
    pub refused: [u64; 2],
    /// Requests that ended with their devices.
    pub gone: u64,
    /// Requests that were withdrawn.
    pub withdrawn: u64,
    /// Loads of a saved state.
    pub loads: u64,
    /// Migrations.
    pub migrations: u64,
    /// Requests that loads ended.
    pub ended_by_loads: u64,
    /// Open requests that came with loads and migrations.
    pub loaded: u64,
    /// Requests that got another number at a load, because theirs had ended.
    pub renumbered: u64,
}

impl Census {
    /// Returns the sum with another.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            turns: self.turns + other.turns,
            made: self.made + other.made,
            refused: [self.refused[0] + other.refused[0], self.refused[1] + other.refused[1]],
            gone: self.gone + other.gone,
            withdrawn: self.withdrawn + other.withdrawn,
            loads: self.loads + other.loads,
            migrations: self.migrations + other.migrations,
            ended_by_loads: self.ended_by_loads + other.ended_by_loads,
            loaded: self.loaded + other.loaded,
            renumbered: self.renumbered + other.renumbered,
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9}  turns", self.turns)?;
        writeln!(f, "{:>9}  requests made", self.made)?;
        writeln!(f, "{:>9}  refused, named by token", self.refused[0])?;
        writeln!(f, "{:>9}  refused otherwise", self.refused[1])?;
        writeln!(f, "{:>9}  ended with their devices", self.gone)?;
        writeln!(f, "{:>9}  withdrawn", self.withdrawn)?;
        writeln!(f, "{:>9}  ended by a load", self.ended_by_loads)?;
        writeln!(f, "{:>9}  loads of a saved state", self.loads)?;
        writeln!(f, "{:>9}  migrations", self.migrations)?;
        writeln!(f, "{:>9}  open requests that came along, {} under a new number", self.loaded, self.renumbered)
    }
}

/// State of the machine that a save keeps.
#[derive(Clone, Debug)]
struct State {
    plugged: BTreeSet<Device>,
    /// Open requests, oldest first.
    open: Vec<Request>,
}

#[derive(Clone, Debug)]
struct Request {
    number: u64,
    device: Device,
    is_withheld: bool,
    /// The token in its hot plug event, once the guest has read that.
    token: Option<u16>,
}

type Verdict = Result<(), String>;

fn ensure(is_right: bool, why: impl FnOnce() -> String) -> Verdict {
    if is_right { Ok(()) } else { Err(why()) }
}

fn sorted(numbers: &[u64]) -> Vec<u64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers
}

impl Account {
    /// Begins the account of a VMM with all devices, no open request, and this list.
    pub fn begin(list: &List) -> Self {
        let last = list.ended.iter().copied().max().unwrap_or(0);
        let now = State { plugged: Device::ALL.into(), open: Vec::new() };
        let ended = list.ended.iter().copied().collect();
        Self { now, saved: None, ended, latest: Vec::new(), last, tokens: Vec::new(), census: Census::default() }
    }

    /// Returns what has happened.
    pub fn census(&self) -> Census {
        self.census
    }

    /// Counts a turn.
    pub(crate) fn turn(&mut self) {
        self.census.turns += 1;
    }

    /// Replaces the token of a report by one that the guest has read, in most cases.
    pub(crate) fn resolved(&self, turn: Turn) -> Turn {
        match turn {
            Turn::Step(step @ Step::Set(REPORTS, index, word)) if is_report(&step) && !self.tokens.is_empty() => {
                let choice = word as usize & 0xFFFF;
                if choice.is_multiple_of(5) {
                    return turn;
                }
                // Most reports are about one of the requests that the guest has read last.
                let at = self.tokens.len().saturating_sub(1 + choice % usize::from(LAST_TOKEN));
                Turn::Step(Step::Set(REPORTS, index, word & !0xFFFF | u32::from(self.tokens[at])))
            }
            turn => turn,
        }
    }

    /// Returns the open request that a withdrawal is about.
    pub(crate) fn chosen(&self, turn: Turn) -> Option<u64> {
        let Turn::Withdraw(choice) = turn else { return None };
        let count = self.now.open.len();
        self.now.open.get(choice as usize % count.max(1)).map(|request| request.number)
    }

    /// Accounts for a step: the number that it made, and what was told.
    pub(crate) fn step(&mut self, step: &Step, answer: &Answer, made: Option<u64>, told: &[Told]) -> Verdict {
        let is_accepted = answer.response == Response::Accepted;
        match step {
            Step::Remove(device) => {
                ensure(is_accepted == self.takes(*device), || {
                    format!("device_del of {device}, with {} open: {answer}", self.now.open.len())
                })?;
                if is_accepted {
                    self.make(*device, made)?;
                }
            }
            Step::Add(device) if is_accepted => {
                ensure(self.now.plugged.insert(*device), || format!("{device} was there"))?;
            }
            _ => {}
        }
        if let Response::Event(section) = &answer.response {
            self.read(section)?;
        }
        let named = self.named(step);
        self.tell(told, |how| !matches!(how, Ending::Withdrawn | Ending::Load))?;
        let by_token = told.iter().find_map(|told| match told {
            Told::Ended(number, _, Ending::Refused(true)) => Some(*number),
            _ => None,
        });
        if let (Some(expected), Some(number)) = (named, by_token) {
            ensure(expected == number, || format!("the token is that of request {expected}, and {number} has ended"))?;
        }
        if *step == Step::Reset {
            ensure(self.now.open.is_empty(), || format!("open after a reset: {:?}", self.now.open))?;
        }
        Ok(())
    }

    /// Accounts for a withdrawal.
    pub(crate) fn withdrawn(&mut self, request: u64, told: &[Told]) -> Verdict {
        self.tell(told, |how| how == Ending::Withdrawn)?;
        ensure(self.ended.contains(&request), || format!("request {request} was withdrawn, and its end is not told"))
    }

    /// Compares with the list of the VMM.
    pub(crate) fn compare(&self, list: &List) -> Verdict {
        let expected: Vec<_> =
            self.now.open.iter().map(|request| (request.number, request.device, request.is_withheld)).collect();
        ensure(list.open == expected, || format!("the list has {:?}, and open are {expected:?}", list.open))?;
        // What a reset ends is listed in the order of the connectors, and told as the devices go.
        let mut rest = list.ended.as_slice();
        for told in self.latest.iter().rev() {
            let Some((before, listed)) = rest.len().checked_sub(told.len()).map(|at| rest.split_at(at)) else {
                return ensure(list.ended.len() == KEPT, || format!("the list lacks outcomes of {told:?}"));
            };
            ensure(sorted(listed) == sorted(told), || {
                format!("the list has the outcomes of {listed:?}, and told were {told:?}")
            })?;
            rest = before;
        }
        Ok(())
    }

    /// Accounts for a migration: the list of the new VMM.
    pub(crate) fn migrated(&mut self, list: &List) -> Verdict {
        self.census.migrations += 1;
        self.census.loaded += self.now.open.len() as u64;
        self.compare(list)
    }

    /// Keeps the state.
    pub(crate) fn save(&mut self) {
        self.saved = Some(self.now.clone());
    }

    /// Returns the devices that were there when the state was saved and are not now, in the order in which they are
    /// plugged.
    pub(crate) fn missing(&self) -> Vec<Device> {
        let Some(saved) = self.saved.as_ref().filter(|saved| saved.plugged.is_superset(&self.now.plugged)) else {
            return Vec::new();
        };
        Device::ALL
            .into_iter()
            .filter(|device| saved.plugged.contains(device) && !self.now.plugged.contains(device))
            .collect()
    }

    /// Returns whether the devices are those of the saved state.
    pub(crate) fn can_load(&self) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.plugged == self.now.plugged)
    }

    /// Accounts for a load: what was told, and the list after it.
    pub(crate) fn loaded(&mut self, told: &[Told], list: &List) -> Verdict {
        let Some(saved) = self.saved.take() else { return Err("nothing was saved".to_owned()) };
        let before = self.now.open.clone();
        self.tell(told, |how| how == Ending::Load)?;
        let devices = |open: &[Request]| open.iter().map(|request| request.device).collect::<Vec<_>>();
        let listed: Vec<_> = list.open.iter().map(|(_, device, _)| *device).collect();
        ensure(listed == devices(&saved.open), || {
            format!("loaded are {:?}, and saved were {:?}", list.open, saved.open)
        })?;
        let mut open = saved.open;
        for (request, (number, _, is_withheld)) in open.iter_mut().zip(&list.open) {
            let kept = *number == request.number;
            let is_free = !self.ended.contains(number);
            ensure(is_free, || format!("request {number} has ended, and is open again"))?;
            ensure(kept || *number > self.last, || format!("request {} became {number}", request.number))?;
            ensure(kept || self.ended.contains(&request.number), || {
                format!("request {} became {number} without need", request.number)
            })?;
            ensure(request.is_withheld == *is_withheld, || format!("request {number} is not withheld as it was"))?;
            self.census.renumbered += u64::from(!kept);
            request.number = *number;
        }
        self.census.loads += 1;
        self.census.loaded += open.len() as u64;
        let numbers: BTreeSet<u64> = open.iter().map(|request| request.number).collect();
        ensure(numbers.len() == open.len(), || format!("a number is given twice: {:?}", list.open))?;
        let lost = before.iter().find(|old| !numbers.contains(&old.number) && !self.ended.contains(&old.number));
        ensure(lost.is_none(), || format!("lost by the load: {lost:?}"))?;
        self.last = self.last.max(numbers.last().copied().unwrap_or(0));
        self.now = State { open, ..saved };
        // Whether outcomes of before the load are listed is the VMM's choice.
        self.latest.clear();
        Ok(())
    }
}

impl Account {
    /// Returns whether `device_del` of a device makes a request.
    fn takes(&self, device: Device) -> bool {
        let open = self.now.open.iter().filter(|request| request.device == device).count();
        let more = 1 + usize::from(self.with_function_0(device).is_some());
        self.now.plugged.contains(&device)
            && device.is_removable()
            && open < MOST_OF_DEVICE
            && self.now.open.len() + more <= MOST
    }

    /// Returns the function that gets a request with function 0.
    fn with_function_0(&self, device: Device) -> Option<Device> {
        let other = Device::Function1;
        let is_asked = || self.now.open.iter().any(|request| request.device == other);
        (device == Device::Function0 && self.now.plugged.contains(&other) && !is_asked()).then_some(other)
    }

    /// Opens the requests of a `device_del`.
    fn make(&mut self, device: Device, made: Option<u64>) -> Verdict {
        let Some(number) = made else { return Err(format!("device_del of {device} tells no number")) };
        let other = self.with_function_0(device);
        let expected = self.last + 1 + u64::from(other.is_some());
        ensure(number == expected, || format!("device_del of {device} makes request {number} after {}", self.last))?;
        if device == Device::Function0 {
            let others = self.now.open.iter_mut().filter(|request| request.device == Device::Function1);
            others.for_each(|request| request.is_withheld = false);
        }
        let request = |number, device, is_withheld| Request { number, device, is_withheld, token: None };
        self.now.open.extend(other.map(|other| request(number - 1, other, false)));
        self.now.open.push(request(number, device, device == Device::Function1));
        self.census.made += number - self.last;
        self.last = number;
        Ok(())
    }

    /// Reads a hot plug event as a guest does.
    fn read(&mut self, section: &[u8]) -> Verdict {
        const REMOVE: u8 = 2;
        const BY_COUNT: u8 = 4;
        let cell = |at: usize| section.get(at..at + 4).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
        let [_, REMOVE, kind, flags, ..] = *section else { return Ok(()) };
        let first = cell(if kind == BY_COUNT { 8 } else { 4 });
        let token = if flags & 0x80 == 0 { 0 } else { cell(12).unwrap_or(0) as u16 };
        let Some(device) = first.and_then(Device::at) else { return Ok(()) };
        let twice = self.now.open.iter().find(|request| token != 0 && request.token == Some(token));
        ensure(twice.is_none(), || format!("token {token} is that of {twice:?} already"))?;
        let asked = |request: &Request| request.device == device && !request.is_withheld;
        let next = self.now.open.iter().position(|request| asked(request) && request.token.is_none());
        // Function 1 is asked for again, for its newest request, with a device_del of function 0.
        let again = || self.now.open.iter().rposition(asked).filter(|_| token != 0);
        if let Some(request) = next.or_else(again).and_then(|at| self.now.open.get_mut(at)) {
            request.token = Some(token);
            self.tokens.extend((token != 0).then_some(token));
        }
        Ok(())
    }

    /// Returns the open request that a REFUSED names by its token.
    fn named(&self, step: &Step) -> Option<u64> {
        let Step::Set(REPORTS, _, word) = *step else { return None };
        let token = word as u16;
        let mut open = self.now.open.iter().filter(|_| is_report(step) && token != 0);
        open.find(|request| request.token == Some(token)).map(|request| request.number)
    }

    /// Accounts for what was told.
    fn tell(&mut self, told: &[Told], is_possible: impl Fn(Ending) -> bool) -> Verdict {
        let mut latest = Vec::new();
        for told in told {
            match *told {
                Told::Ended(number, device, how) => {
                    ensure(is_possible(how), || format!("told out of place: {told:?}"))?;
                    let at = self.now.open.iter().position(|request| request.number == number);
                    let Some(at) = at else {
                        let state = if self.ended.contains(&number) { "has ended before" } else { "is unknown" };
                        return Err(format!("told of request {number}, which {state}: {told:?}"));
                    };
                    let request = self.now.open.remove(at);
                    ensure(request.device == device, || format!("told of another device: {told:?}, {request:?}"))?;
                    match how {
                        Ending::Refused(by_token) => self.census.refused[usize::from(!by_token)] += 1,
                        Ending::Gone => self.census.gone += 1,
                        Ending::Withdrawn => self.census.withdrawn += 1,
                        Ending::Load => self.census.ended_by_loads += 1,
                    }
                    self.ended.insert(number);
                    latest.push(number);
                }
                Told::Deleted(device) => {
                    ensure(self.now.plugged.remove(&device), || format!("{device} is deleted twice"))?;
                    let left = self.now.open.iter().find(|request| request.device == device);
                    ensure(left.is_none(), || format!("{device} is gone, and {left:?} is open"))?;
                }
            }
        }
        self.latest.push(latest);
        Ok(())
    }
}
