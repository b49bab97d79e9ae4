// SPDX-License-Identifier: MIT OR Apache-2.0

//! A VMM that does what `spec/vmm-conformance.md` says, clause by clause, and nothing to be fast.
//!
//! It gives no token a number: a token is the name of the request that it was given to.

use super::{
    action::{Action, Input, Name, Report},
    lopar,
    machine::{BOUND, BOUND_OF_DEVICE, DEVICES, MEMORY, OFFERS, PCI, PHB, Plan, SLOT, VACANT, indexes, is_physical},
};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Reference {
    /// What guests are offered from their next boot on, and what the guest of now was.
    pub configured: Option<(u32, u16, u8)>,
    pub offered: Option<(u32, u16, u8)>,
    pub armed: u16,
    pub features: u8,
    pub connectors: Vec<Connector>,
    pub plugged: Vec<Device>,
    /// Open requests, the oldest first.
    pub requests: Vec<Request>,
    pub asked: u64,
    /// The requests that were given tokens, open or not.
    given: BTreeSet<u64>,
    /// What the last action has to bring out.
    pub expected: Expected,
    /// The clauses that decided something so far.
    pub clauses: BTreeSet<&'static str>,
    /// The state that was saved last.
    saved: Option<Box<Reference>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connector {
    pub resource: u8,
    pub index: u32,
    pub state: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    pub plan: Plan,
    pub wanted: bool,
    /// PUE-V-043
    pub echo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: u64,
    pub device: Plan,
    pub token: bool,
    pub promised: bool,
    pub started: bool,
    pub withheld: bool,
    pub imported: bool,
    pub hint: Option<u32>,
}

/// What stands behind a connector, as far as LoPAR's transitions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occupant {
    Nobody,
    Kept,
    Wanted,
    Asked,
}

/// What an action has to bring out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The words of the `set-indicator` call that it is, and whose token is to be put into the last of them.
    pub words: Option<([u32; 3], Option<u64>)>,
    pub status: Option<i32>,
    pub sense: Option<u32>,
    /// Whether plugging, unplugging or asking succeeded.
    pub accepted: Option<bool>,
    pub told: Vec<Told>,
    /// The transition that it was: resource, state, occupant, input.
    pub transition: Option<(u8, u8, Occupant, Input)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Ask {
        request: u64,
        device: Plan,
        token: bool,
    },
    Withheld {
        request: u64,
    },
    Released {
        request: u64,
    },
    Removed {
        request: u64,
    },
    Withdrawn {
        request: u64,
    },
    Load {
        request: u64,
    },
    Cas {
        request: u64,
    },
    Refused {
        request: u64,
        connector: u32,
        reason: u8,
        errno: u8,
        how: How,
    },
    Reset {
        request: u64,
    },
    /// By the guest 1, a reset 2, CAS 3.
    Deleted {
        device: Plan,
        by: u8,
        requests: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Token,
    Order,
    Inferred,
}

/// The token of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    None,
    Of(u64),
    Never,
}

const TOKEN: u8 = 1;
const INCOMPLETE: u8 = 23;
/// A token that is never given: histories are too short.
const NEVER: u16 = 0xFFFF;

impl Reference {
    /// Every connector, nothing plugged.
    pub fn new(offer: Option<(u32, u16, u8)>) -> Self {
        let of = |(resource, first, count): Plan| (first..first + count).map(move |index| (resource, index));
        let all = DEVICES.into_iter().flat_map(of).chain([VACANT]);
        let connector = |(resource, index)| Connector { resource, index, state: lopar::ends(is_physical(resource)).0 };
        Self {
            configured: offer,
            offered: offer,
            armed: 0,
            features: 0,
            connectors: all.map(connector).collect(),
            plugged: Vec::new(),
            requests: Vec::new(),
            asked: 0,
            given: BTreeSet::new(),
            expected: Expected::default(),
            clauses: BTreeSet::new(),
            saved: None,
        }
    }

    /// Lets something happen; `expected` then says what has to come of it.
    pub fn apply(&mut self, action: Action) {
        self.expected = Expected::default();
        match action {
            Action::Plug(device) => self.plug(plan(device)),
            Action::Boot(device) => self.configure_all(plan(device)),
            Action::Unplug(device) => self.unplug(plan(device)),
            Action::Request(device) => self.request(plan(device)),
            Action::Withhold(device) => self.withhold(plan(device)),
            Action::Together(one, last) => self.together(plan(one), plan(last)),
            Action::Withdraw(place) => self.withdraw(place),
            Action::Move(place, input) => {
                let index = index(place);
                let words = input.indicator().map(|(indicator, state)| ([indicator, index, state], None));
                self.expected.words = words;
                self.transition(index, input);
            }
            Action::Sense(place) => self.sense(index(place)),
            Action::Report(place, report) => self.say(index(place), report),
            Action::Words([indicator, index, word]) => self.words(indicator, index, word),
            Action::Word(place, word) => self.words(self.offered.map_or(9100, |offer| offer.0), index(place), word),
            Action::Reset => self.reset(2),
            Action::Cas => self.reset(3),
            Action::Offer(offer) => self.offer(offer.map(|place| OFFERS[usize::from(place) % OFFERS.len()])),
            Action::Migrate => {}
            Action::Snapshot => self.saved = Some(Box::new(Self { saved: None, ..self.clone() })),
            Action::Load => self.load(),
            Action::Import { .. } => self.import(),
        }
    }

    fn by(&mut self, clause: &'static str) {
        self.clauses.insert(clause);
    }

    fn tell(&mut self, told: Told) {
        self.by("PUE-V-100");
        self.expected.told.push(told);
    }

    fn status(&mut self, status: i32) {
        self.expected.status = Some(status);
    }

    pub fn device(&self, index: u32) -> Option<Device> {
        self.plugged.iter().copied().find(|device| indexes_of(device.plan).contains(&index))
    }

    pub fn open(&self, device: Plan) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| request.device == device)
    }

    fn connector(&mut self, index: u32) -> Option<&mut Connector> {
        self.connectors.iter_mut().find(|connector| connector.index == index)
    }

    fn held(&self, device: Plan) -> Vec<u32> {
        let is_held = |connector: &&Connector| connector.state != lopar::ends(is_physical(connector.resource)).0;
        let of = |connector: &&Connector| indexes_of(device).contains(&connector.index);
        self.connectors.iter().filter(of).filter(is_held).map(|connector| connector.index).collect()
    }

    fn is_armed(&self, resource: u8) -> bool {
        self.armed & (1 << resource) != 0
    }

    fn occupant(&self, index: u32) -> Occupant {
        match self.device(index) {
            None => Occupant::Nobody,
            Some(device) if !device.wanted => Occupant::Kept,
            Some(device) if self.open(device.plan).next().is_none() => Occupant::Wanted,
            Some(_) => Occupant::Asked,
        }
    }

    fn plug(&mut self, plan: Plan) {
        let is_free = self.plugged.iter().all(|device| device.plan != plan);
        if is_free {
            self.plugged.push(Device { plan, wanted: false, echo: false });
        }
        self.expected.accepted = Some(is_free);
    }

    fn configure_all(&mut self, plan: Plan) {
        if self.plugged.iter().any(|device| device.plan == plan) {
            self.set_all(plan, lopar::ends(is_physical(plan.0)).1);
        }
    }

    fn set_all(&mut self, plan: Plan, state: u8) {
        for index in indexes_of(plan) {
            if let Some(connector) = self.connector(index) {
                connector.state = state;
            }
        }
    }

    fn unplug(&mut self, plan: Plan) {
        let was_there = self.plugged.iter().any(|device| device.plan == plan);
        self.end_all(plan, |request| Told::Removed { request });
        self.forget(plan);
        self.expected.accepted = Some(was_there);
    }

    fn forget(&mut self, plan: Plan) {
        self.plugged.retain(|device| device.plan != plan);
        self.set_all(plan, lopar::ends(is_physical(plan.0)).0);
    }

    fn end_all(&mut self, plan: Plan, end: impl Fn(u64) -> Told) -> u32 {
        let ended: Vec<_> = self.requests.extract_if(.., |request| request.device == plan).collect();
        ended.iter().for_each(|request| self.tell(end(request.id)));
        ended.len() as u32
    }

    fn release(&mut self, plan: Plan, more: u32) {
        let requests = more + self.end_all(plan, |request| Told::Released { request });
        self.forget(plan);
        self.tell(Told::Deleted { device: plan, by: 1, requests });
    }

    /// PUE-V-052: whether a request for each of these devices can be made.
    fn has_room(&mut self, plans: &[Plan]) -> bool {
        let are_there = plans.iter().all(|plan| self.plugged.iter().any(|device| device.plan == *plan));
        let new = |plan: &Plan| plans.iter().filter(|other| *other == plan).count();
        let is_full = plans.iter().any(|plan| self.open(*plan).count() + new(plan) > BOUND_OF_DEVICE)
            || self.requests.len() + plans.len() > BOUND;
        if are_there && is_full {
            self.by("PUE-V-052");
        }
        self.expected.accepted = Some(are_there && !is_full);
        are_there && !is_full
    }

    fn withhold(&mut self, plan: Plan) {
        if self.has_room(&[plan]) {
            self.by("PUE-V-055");
            self.make(plan, true);
        }
    }

    /// PUE-V-056
    fn together(&mut self, one: Plan, last: Plan) {
        if one == last {
            self.expected.accepted = Some(false);
            return;
        }
        let is_open = self.open(one).next().is_some();
        let new = if is_open { vec![last] } else { vec![one, last] };
        if !self.has_room(&new) {
            return;
        }
        self.by("PUE-V-056");
        if is_open {
            self.ask_withheld(one);
            let open = self.open(one).next().copied();
            if let Some(Request { id: request, device, token, .. }) = open {
                self.tell(Told::Ask { request, device, token });
            }
        } else {
            self.make(one, false);
        }
        self.make(last, false);
        // The hot plug events are sent after all.
        self.expected.told.sort_by_key(|told| matches!(told, Told::Ask { .. }));
    }

    fn ask_withheld(&mut self, plan: Plan) {
        self.requests.iter_mut().filter(|request| request.device == plan).for_each(|request| request.withheld = false);
    }

    /// PUE-V-057
    fn withdraw(&mut self, place: u8) {
        self.by("PUE-V-057");
        self.expected.accepted = Some(!self.requests.is_empty());
        if !self.requests.is_empty() {
            let request = self.requests.remove(usize::from(place) % self.requests.len()).id;
            self.tell(Told::Withdrawn { request });
        }
    }

    /// PUE-V-086, PUE-V-087
    fn load(&mut self) {
        let Some(saved) = self.saved.clone().map(|saved| *saved) else { return };
        let plugged = |reference: &Self| reference.plugged.iter().map(|device| device.plan).collect::<BTreeSet<_>>();
        let is_taken = plugged(&saved) == plugged(self) && (saved.offered.is_none() || self.configured.is_some());
        self.expected.accepted = Some(is_taken);
        if !is_taken {
            return;
        }
        self.by("PUE-V-087");
        let here = std::mem::take(&mut self.requests);
        let is_same = |one: &Request, other: &Request| one.id == other.id && one.device == other.device;
        let mut ids = self.asked.max(saved.asked);
        let mut given = self.given.clone();
        for request in &saved.requests {
            let is_here = here.iter().any(|open| is_same(open, request));
            let id = if is_here { request.id } else { ids + 1 };
            if !is_here {
                ids += 1;
            }
            if request.token {
                given.insert(id);
            }
            self.requests.push(Request { id, ..*request });
        }
        let gone = here.iter().filter(|open| !saved.requests.iter().any(|request| is_same(open, request)));
        let gone: Vec<u64> = gone.map(|request| request.id).collect();
        gone.into_iter().for_each(|request| self.tell(Told::Load { request }));
        (self.offered, self.armed, self.features) = (saved.offered, saved.armed, saved.features);
        (self.connectors, self.plugged, self.asked, self.given) = (saved.connectors, saved.plugged, ids, given);
    }

    fn request(&mut self, plan: Plan) {
        if self.has_room(&[plan]) {
            self.make(plan, false);
        }
    }

    /// Makes a request for a device that is plugged.
    fn make(&mut self, plan: Plan, withheld: bool) {
        self.by("PUE-V-020");
        self.by(if self.open(plan).next().is_some() { "PUE-V-050" } else { "PUE-V-051" });
        if !withheld {
            self.ask_withheld(plan);
        }
        self.asked += 1;
        self.plugged.iter_mut().filter(|device| device.plan == plan).for_each(|device| device.wanted = true);
        let held = self.held(plan).len();
        if held == 0 {
            self.by("PUE-V-054");
            self.tell(Told::Released { request: self.asked });
            // Requests that were open would have been released before.
            self.release(plan, 1);
            return;
        }
        if held < plan.2 as usize {
            self.by("PUE-V-053");
        }
        let never = matches!(plan.0, SLOT | PHB | PCI);
        let token = self.is_armed(plan.0) && self.features & TOKEN != 0 && !never && !withheld;
        self.by(match (token, never) {
            (true, _) => "PUE-V-021",
            (false, true) => "PUE-V-025",
            (false, false) => "PUE-V-022",
        });
        let (id, promised) = (self.asked, token);
        let request =
            Request { id, device: plan, token, promised, started: false, withheld, imported: false, hint: None };
        if token {
            self.given.insert(self.asked);
        }
        self.requests.push(request);
        let request = self.asked;
        self.tell(if withheld { Told::Withheld { request } } else { Told::Ask { request, device: plan, token } });
    }

    fn transition(&mut self, index: u32, input: Input) {
        let occupant = self.occupant(index);
        let open = self.device(index).is_some_and(|device| self.open(device.plan).next().is_some());
        let Some(&mut Connector { resource, state, .. }) = self.connector(index) else { return self.status(-3) };
        self.expected.transition = Some((resource, state, occupant, input));
        let is_wanted = matches!(occupant, Occupant::Wanted | Occupant::Asked);
        let is_nobody = occupant == Occupant::Nobody;
        match (input, state) {
            (Input::Isolate, 3 | 4) if resource == MEMORY => self.by("PUE-V-064"),
            (Input::Usable, 1) if open => {
                self.by("PUE-V-066");
                return self.status(-3);
            }
            (Input::Usable, 1) | (Input::Unisolate, 6) if is_nobody => return self.status(-3),
            _ => {}
        }
        let (after, status) = lopar::transition(state, input);
        if let Some(connector) = self.connector(index) {
            connector.state = after;
        }
        self.status(status);
        let Some(device) = self.device(index) else { return };
        let reconfigured = (input, state) == (Input::Configure, 4) && resource == MEMORY;
        if (input == Input::Unisolate && matches!(state, 3 | 4)) || reconfigured {
            self.hint(device, index);
        }
        if matches!((input, state), (Input::Usable, 1) | (Input::Unisolate, 2 | 6)) && !open {
            self.by("PUE-V-061");
            self.plugged.iter_mut().filter(|one| one.plan == device.plan).for_each(|one| one.wanted = false);
        }
        if self.held(device.plan).is_empty() && is_wanted && after != state {
            self.by("PUE-V-060");
            self.release(device.plan, 0);
        }
    }

    fn hint(&mut self, device: Device, index: u32) {
        self.by("PUE-V-042");
        let is_oldest = |request: &Request| request.device == device.plan && !request.withheld;
        let Some(at) = self.requests.iter().position(is_oldest) else { return };
        if self.requests[at].promised {
            self.by("PUE-V-041");
            self.requests[at].hint = self.requests[at].hint.or(Some(index));
        } else {
            self.by("PUE-V-040");
            let echo = self.is_armed(device.plan.0);
            self.plugged.iter_mut().filter(|one| one.plan == device.plan).for_each(|one| one.echo = echo);
            let request = self.requests.remove(at).id;
            self.infer(request, index);
        }
    }

    fn infer(&mut self, request: u64, connector: u32) {
        self.tell(Told::Refused { request, connector, reason: 0, errno: 0, how: How::Inferred });
    }

    fn sense(&mut self, index: u32) {
        let is_occupied = self.device(index).is_some();
        match self.connector(index) {
            Some(&mut Connector { state, .. }) => {
                self.status(0);
                self.expected.sense = Some(lopar::sense(state, is_occupied));
            }
            None => self.status(-3),
        }
    }

    fn words(&mut self, indicator: u32, index: u32, word: u32) {
        let reports = self.offered.is_some_and(|offer| offer.0 == indicator);
        let names_a_request = matches!(word >> 29, 3..=5) && word & 0xFFFF != 0;
        // Which number a token has is the crate's to say; one from 0x8000 on is none of a short history.
        let word = if reports && names_a_request { word | 0x8000 } else { word };
        self.expected.words = Some(([indicator, index, word], None));
        if reports {
            return self.word(index, word);
        }
        match (Input::of(indicator, word), indicator, word) {
            (Some(input), ..) => self.transition(index, input),
            (None, 9002, 0..=3) => {
                let is_physical = self.connector(index).is_some_and(|connector| is_physical(connector.resource));
                self.status(if is_physical { 0 } else { -3 });
            }
            (None, 9100..=9999, _) => {
                self.by("PUE-V-003");
                self.status(-3);
            }
            _ => self.status(-3),
        }
    }

    /// "Report word", read by its table.
    fn word(&mut self, index: u32, word: u32) {
        let (opcode, reason, errno, low) = (word >> 29, word >> 24 & 31, word >> 16 & 255, word & 0xFFFF);
        let token = if low == 0 { Token::None } else { Token::Never };
        match (opcode, reason, errno, low) {
            (1, 0, features, classes @ 1..) => self.arm(index, classes as u16, features as u8),
            (2, 0, 0, 0) => self.disarm(index),
            (3, 0, 0, _) | (4, ..) | (5, 0, 0, _) => self.about(index, opcode, (reason as u8, errno as u8), token),
            _ => {
                self.by("PUE-V-012");
                self.status(-9005);
            }
        }
    }

    fn say(&mut self, index: u32, report: Report) {
        let named = |name| self.named(name);
        let (word, token) = match report {
            Report::Arm { classes, features } => (0x2000_0000 | u32::from(features) << 16 | u32::from(classes), None),
            Report::Disarm => (0x4000_0000, None),
            Report::Started(name) => (0x6000_0000, Some(named(name))),
            Report::Refused(name, reason, errno) => {
                (0x8000_0000 | u32::from(reason & 31) << 24 | u32::from(errno) << 16, Some(named(name)))
            }
            Report::Done(name) => (0xA000_0000, Some(named(name))),
        };
        let (low, of) = match token {
            Some(Token::Of(request)) => (0, Some(request)),
            Some(Token::Never) => (NEVER, None),
            Some(Token::None) | None => (0, None),
        };
        let indicator = self.offered.map_or(9100, |offer| offer.0);
        self.expected.words = Some(([indicator, index, word | u32::from(low)], of));
        match (self.offered, token) {
            (None, _) => {
                self.by("PUE-V-003");
                self.status(-3);
            }
            (Some(_), Some(token)) => {
                self.by("PUE-V-011");
                self.about(index, word >> 29, ((word >> 24 & 31) as u8, (word >> 16) as u8), token);
            }
            (Some(_), None) => self.word(index, word),
        }
    }

    fn named(&self, name: Name) -> Token {
        let is_open = |id| self.requests.iter().any(|request| request.id == id && request.token);
        let given = |id| if self.given.contains(&id) || is_open(id) { Token::Of(id) } else { Token::Never };
        match name {
            Name::None => Token::None,
            Name::Never => Token::Never,
            Name::Open(place) if self.requests.is_empty() => given(u64::from(place)),
            Name::Open(place) => given(self.requests[usize::from(place) % self.requests.len()].id),
            Name::Past(ago) => given(self.asked.saturating_sub(u64::from(ago))),
        }
    }

    fn arm(&mut self, index: u32, classes: u16, features: u8) {
        if index != 0 {
            self.by("PUE-V-014");
            return self.status(-9008);
        }
        let (may, can) = self.offered.map_or((0, 0), |offer| (offer.1, offer.2));
        self.by("PUE-V-015");
        if classes & !may != 0 || features & !can != 0 {
            return self.status(-9007);
        }
        self.status(0);
        self.replace_armed(classes, features);
    }

    fn disarm(&mut self, index: u32) {
        if index != 0 {
            self.by("PUE-V-014");
            return self.status(-9008);
        }
        self.status(0);
        self.replace_armed(0, 0);
    }

    fn replace_armed(&mut self, classes: u16, features: u8) {
        let no_longer = if features & TOKEN == 0 { self.armed } else { self.armed & !classes };
        (self.armed, self.features) = (classes, features);
        let mut kept = Vec::new();
        for mut request in std::mem::take(&mut self.requests) {
            let is_withdrawn = no_longer & (1 << request.device.0) != 0;
            if is_withdrawn {
                self.by("PUE-V-016");
                request.promised = false;
            }
            match request.hint {
                Some(hint) if is_withdrawn => self.infer(request.id, hint),
                _ => kept.push(request),
            }
        }
        self.requests = kept;
    }

    /// STARTED, REFUSED and DONE.
    fn about(&mut self, index: u32, opcode: u32, (reason, errno): (u8, u8), token: Token) {
        let Some(&mut Connector { resource, .. }) = self.connector(index) else {
            self.by("PUE-V-014");
            return self.status(-9008);
        };
        if !self.is_armed(resource) {
            self.by("PUE-V-017");
            return self.status(-9006);
        }
        let plan = self.device(index).map(|device| device.plan);
        if let Some(plugged) = self.plugged.iter_mut().find(|device| Some(device.plan) == plan)
            && std::mem::take(&mut plugged.echo)
            && opcode != 3
            && token == Token::None
        {
            self.by("PUE-V-043");
            return self.status(9000);
        }
        let mine = |request: &Request| Some(request.device) == plan;
        let find = |is: &dyn Fn(&Request) -> bool| self.requests.iter().position(is);
        let named = |request: &Request| token == Token::Of(request.id) && request.token;
        let (clause, found, how) = match token {
            Token::Of(_) if self.requests.iter().any(named) => ("PUE-V-032", find(&named), How::Token),
            Token::None => {
                ("PUE-V-033", find(&|request| mine(request) && !request.promised && !request.withheld), How::Order)
            }
            Token::Of(_) => ("PUE-V-034", None, How::Order),
            Token::Never => ("PUE-V-034", find(&|request| mine(request) && request.imported), How::Order),
        };
        let Some(at) = found else {
            self.by("PUE-V-031");
            return self.status(9000);
        };
        let request = self.requests[at];
        if Some(request.device) != plan {
            self.by("PUE-V-035");
            return self.status(-9008);
        }
        self.by(clause);
        self.status(0);
        let held = self.held(request.device);
        let (connector, reason, errno) = match opcode {
            3 => {
                self.by("PUE-V-038");
                self.requests[at].started = true;
                return;
            }
            4 => {
                self.by("PUE-V-030");
                self.by("PUE-V-039");
                (index, reason, errno)
            }
            // An open request has a connector that is not given back: otherwise the device would be gone.
            _ => {
                self.by("PUE-V-036");
                (held[0], INCOMPLETE, 0)
            }
        };
        let passed_over = |other: &mut Request| other.device == request.device && !other.promised && !other.withheld;
        for passed in self.requests.extract_if(..at, passed_over).collect::<Vec<_>>() {
            self.by("PUE-V-037");
            self.infer(passed.id, passed.hint.unwrap_or(index));
        }
        self.requests.retain(|other| other.id != request.id);
        self.tell(Told::Refused { request: request.id, connector, reason, errno, how });
    }

    fn reset(&mut self, by: u8) {
        self.by("PUE-V-070");
        self.by("PUE-V-071");
        self.by("PUE-V-072");
        self.offered = self.configured;
        (self.armed, self.features) = (0, 0);
        let end = |request| if by == 2 { Told::Reset { request } } else { Told::Cas { request } };
        while !self.requests.is_empty() {
            let request = self.requests.remove(0);
            match request.hint {
                Some(hint) => self.infer(request.id, hint),
                None => {
                    self.tell(end(request.id));
                    let requests = 1 + self.end_all(request.device, end);
                    self.forget(request.device);
                    self.tell(Told::Deleted { device: request.device, by, requests });
                }
            }
        }
        for device in self.plugged.clone() {
            self.configure_all(device.plan);
        }
        self.plugged.iter_mut().for_each(|device| (device.wanted, device.echo) = (false, false));
    }

    fn offer(&mut self, offer: Option<(u32, u16, u8)>) {
        self.configured = offer;
        if offer.is_none() {
            self.offered = None;
            self.replace_armed(0, 0);
        }
    }

    fn import(&mut self) {
        self.by("PUE-V-082");
        self.offered = self.configured;
        (self.armed, self.features) = (0, 0);
        // Tokens begin anew (PUE-V-034).
        self.given.clear();
        let marked: Vec<Plan> = self.requests.drain(..).map(|request| request.device).collect();
        self.plugged.sort_by_key(|device| device.plan.1);
        for device in &mut self.plugged {
            device.wanted = marked.contains(&device.plan);
            device.echo = false;
            if device.wanted {
                self.asked += 1;
                let (id, device) = (self.asked, device.plan);
                let (token, promised, started, withheld) = (false, false, false, false);
                let request = Request { id, device, token, promised, started, withheld, imported: true, hint: None };
                self.requests.push(request);
            }
        }
    }
}

/// The device that a number chooses.
pub fn plan(place: u8) -> Plan {
    DEVICES[usize::from(place) % DEVICES.len()]
}

/// The DRC index that a number chooses.
pub fn index(place: u8) -> u32 {
    let all = indexes();
    all[usize::from(place) % all.len()]
}

/// The DRC indexes of a device.
pub fn indexes_of((_, first, count): Plan) -> std::ops::Range<u32> {
    first..first + count
}
