// SPDX-License-Identifier: MIT OR Apache-2.0

//! The VMM that `spec/vmm-conformance.md` describes, as short as it can be said.

use crate::{
    machine::{CONNECTORS, Connector, Device, UNPLUG_STATUS},
    mutant::Mutant,
    vmm::{Effects, Event, Input, Open, Outcome, RequestId, Source, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features},
    reason::Reason,
    report::{Errno, Report, Word},
    rtas::{Indicator, IsolationState, Status},
    token::Token,
};

/// How many requests may be open at a time.
const BOUND: usize = 4;

/// The state of the reference VMM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    mutant: Mutant,
    level1: bool,
    armed: Classes,
    features: Features,
    connectors: [State; CONNECTORS],
    plugged: [Plugged; 2],
    /// Open requests, the oldest first.
    requests: Vec<Request>,
    asked: RequestId,
    last_token: Token,
}

/// LoPAR's states of a logical connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Unusable,
    Available,
    Unisolate,
    Configured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Plugged {
    No,
    Yes,
    /// A removal was asked for since the guest last took the device: giving it back completes it, however late.
    Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Request {
    id: RequestId,
    device: Device,
    token: Token,
    promised: bool,
    hint: Option<Connector>,
}

impl Reference {
    /// A VMM with both devices plugged and configured, which breaks the rule that `mutant` says.
    pub fn new(mutant: Mutant) -> Self {
        Self {
            mutant,
            level1: true,
            armed: Classes::empty(),
            features: Features::empty(),
            connectors: [State::Configured; CONNECTORS],
            plugged: [Plugged::Yes; 2],
            requests: Vec::new(),
            asked: 0,
            last_token: Token::NONE,
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == mutant
    }

    fn state(&self, connector: Connector) -> State {
        self.connectors[connector.slot()]
    }

    fn set_state(&mut self, connector: Connector, state: State) {
        self.connectors[connector.slot()] = state;
    }

    /// PUE-V-020 to PUE-V-026, PUE-V-050 to PUE-V-054
    fn device_del(&mut self, device: Device) -> Effects {
        let asked = |result| Effects { asked: Some(result), ..Effects::default() };
        if self.requests.len() == BOUND {
            return asked(Err("too many removal requests are open"));
        }
        if self.is(Mutant::RejectRepeat) && self.requests.iter().any(|request| request.device == device) {
            return asked(Err("a removal request for this device is open"));
        }
        let id = self.asked;
        self.asked += 1;
        self.plugged[device.slot()] = Plugged::Wanted;
        if device.connectors().iter().all(|connector| self.state(*connector) == State::Unusable) {
            let mut effects = asked(Ok(id)).and(Event::Outcome(Some(id), device, Outcome::Released));
            self.release(device, &mut effects);
            return effects;
        }
        if self.is(Mutant::DetachReleasedLmb)
            && device.connectors().iter().any(|connector| self.state(*connector) == State::Unusable)
        {
            return Effects { abort: Some("device_del of a partly released DIMM"), ..asked(Ok(id)) };
        }
        let promised = self.armed.contains(device.class()) && self.features.contains(Features::TOKEN);
        let token = if promised { self.issue_token() } else { Token::NONE };
        self.requests.push(Request { id, device, token, promised, hint: None });
        asked(Ok(id)).and(Event::Hotplug(device, token))
    }

    fn issue_token(&mut self) -> Token {
        if !self.is(Mutant::ReuseToken) || !self.last_token.is_some() {
            self.last_token = Token(self.last_token.0 % u16::MAX + 1);
        }
        self.last_token
    }

    /// PUE-V-010 to PUE-V-017
    fn report(&mut self, index: DrcIndex, word: Word) -> Effects {
        if !self.level1 {
            return Effects::status(Status::NO_SUCH_INDICATOR);
        }
        let Some(report) = word.report() else { return Effects::status(Status::MALFORMED) };
        match report {
            Report::Arm { .. } | Report::Disarm if index != DrcIndex(0) => Effects::status(Status::WRONG_CONNECTOR),
            Report::Arm { classes, features } => {
                if !OFFERED.contains(classes) || !(Features::TOKEN | Features::STARTED).contains(features) {
                    return Effects::status(Status::NOT_OFFERED);
                }
                let withdrawn = self.armed.difference(classes);
                (self.armed, self.features) = (classes, features);
                self.withdraw(withdrawn)
            }
            Report::Disarm => {
                let withdrawn = self.armed;
                (self.armed, self.features) = (Classes::empty(), Features::empty());
                self.withdraw(withdrawn)
            }
            Report::Started { token } | Report::Refused { token, .. } | Report::Done { token } => {
                let Some(connector) = Connector::of(index) else {
                    return Effects::status(Status::WRONG_CONNECTOR);
                };
                if !self.armed.contains(connector.device().class()) {
                    return Effects::status(Status::NOT_ARMED);
                }
                self.answer(connector, token, report)
            }
        }
    }

    /// PUE-V-016: no promise stands for these classes any longer, and a hint becomes the outcome.
    fn withdraw(&mut self, classes: Classes) -> Effects {
        let mut effects = Effects::status(Status::SUCCESS);
        if self.is(Mutant::KeepHintOnDisarm) {
            return effects;
        }
        for request in &mut self.requests {
            request.promised &= !classes.contains(request.device.class());
        }
        let hinted = |request: &Request| classes.contains(request.device.class()) && request.hint.is_some();
        for request in self.requests.extract_if(.., |request| hinted(request)) {
            effects.events.push(inferred(&request));
        }
        effects
    }

    /// PUE-V-032 to PUE-V-034: which request a report is about. One that was promised needs its token.
    fn about(&self, device: Device, token: Token) -> Option<usize> {
        if self.is(Mutant::IgnoreToken) || (self.is(Mutant::MatchTokenless) && !token.is_some()) {
            return self.requests.iter().position(|request| request.device == device);
        }
        let named = |request: &Request| token.is_some() && request.token == token;
        let next = |request: &Request| {
            let either_has_none = !token.is_some() || !request.token.is_some();
            request.device == device && !request.promised && either_has_none
        };
        self.requests.iter().position(named).or_else(|| self.requests.iter().position(next))
    }

    /// PUE-V-030, PUE-V-031, PUE-V-035 to PUE-V-039
    fn answer(&mut self, connector: Connector, token: Token, report: Report) -> Effects {
        let device = connector.device();
        let Some(at) = self.about(device, token) else {
            let again = self.is(Mutant::RepeatOutcome) && self.asked > 0 && matches!(report, Report::Refused { .. });
            let effects = Effects::status(Status::ALREADY);
            return if again { effects.and(refused(0, device, connector, report, token)) } else { effects };
        };
        if self.requests[at].device != device {
            return Effects::status(Status::WRONG_CONNECTOR);
        }
        let Request { id, token: known, .. } = self.requests[at];
        let token = if known == token { token } else { Token::NONE };
        let kept = device.connectors().iter().find(|connector| self.state(**connector) != State::Unusable);
        let event = match (report, kept) {
            (Report::Refused { .. }, _) => refused(id, device, connector, report, token),
            (Report::Done { .. }, Some(_)) if self.is(Mutant::IgnoreDone) => return Effects::status(Status::SUCCESS),
            (Report::Done { .. }, Some(kept)) => {
                let incomplete = Report::Refused { token, reason: Reason::INCOMPLETE, errno: Errno(0) };
                refused(id, device, *kept, incomplete, token)
            }
            _ => return Effects::status(Status::SUCCESS),
        };
        let mut effects = Effects::status(Status::SUCCESS);
        // The guest answers in the order it was asked: what it did not promise and has passed over it never answers.
        let keep_older = self.is(Mutant::KeepOlder);
        for older in self
            .requests
            .extract_if(.., |other| !keep_older && other.device == device && other.id < id && !other.promised)
        {
            let hint = older.hint.or(Some(connector));
            effects.events.push(inferred(&Request { hint, ..older }));
        }
        self.requests.retain(|request| request.id != id);
        if self.is(Mutant::HealOnRefusal) {
            for connector in device.connectors() {
                self.set_state(*connector, State::Configured);
            }
        }
        effects.and(event)
    }

    /// PUE-V-040 to PUE-V-042: a null transition hints that the oldest request for the device was refused.
    fn hint(&mut self, connector: Connector) -> Effects {
        let effects = Effects::status(Status::SUCCESS);
        let device = connector.device();
        let Some(at) = self.requests.iter().position(|request| request.device == device) else { return effects };
        self.requests[at].hint.get_or_insert(connector);
        if self.armed.contains(device.class()) && !self.is(Mutant::HintIsOutcome) {
            return effects;
        }
        effects.and(inferred(&self.requests.remove(at)))
    }

    fn isolation(&mut self, connector: Connector, state: IsolationState) -> Effects {
        let device = connector.device();
        match (state, self.state(connector)) {
            (IsolationState::ISOLATE, State::Configured | State::Unisolate) => {
                self.set_state(connector, State::Available);
                Effects::status(Status::SUCCESS)
            }
            (IsolationState::ISOLATE, State::Available | State::Unusable) => Effects::status(Status::SUCCESS),
            (IsolationState::UNISOLATE, State::Configured | State::Unisolate) => self.hint(connector),
            (IsolationState::UNISOLATE, State::Available) => {
                self.set_state(connector, State::Unisolate);
                self.take_again(device);
                Effects::status(Status::SUCCESS)
            }
            _ => Effects::status(Status::NO_SUCH_INDICATOR),
        }
    }

    /// PUE-V-061: a guest that takes a connector again, with nothing asked of it, keeps the device.
    fn take_again(&mut self, device: Device) {
        if !self.requests.iter().any(|request| request.device == device) {
            self.plugged[device.slot()] = Plugged::Yes;
        }
    }

    /// PUE-V-066
    fn set_usable(&mut self, connector: Connector) -> Effects {
        let device = connector.device();
        let open = self.requests.iter().any(|request| request.device == device);
        match self.state(connector) {
            State::Unusable if open || !self.present(device) => return Effects::status(Status::NO_SUCH_INDICATOR),
            State::Unusable => {
                self.set_state(connector, State::Available);
                self.take_again(device);
            }
            State::Available | State::Unisolate | State::Configured => {}
        }
        Effects::status(Status::SUCCESS)
    }

    /// PUE-V-060 to PUE-V-063
    fn set_unusable(&mut self, connector: Connector) -> Effects {
        let mut effects = Effects::status(Status::SUCCESS);
        match self.state(connector) {
            State::Unusable => return effects,
            State::Available => self.set_state(connector, State::Unusable),
            State::Unisolate | State::Configured => return Effects::status(Status::NO_SUCH_INDICATOR),
        }
        let device = connector.device();
        let given_back = device.connectors().iter().all(|connector| self.state(*connector) == State::Unusable);
        let open = self.requests.iter().any(|request| request.device == device);
        let wanted = self.plugged[device.slot()] == Plugged::Wanted && (open || !self.is(Mutant::ForgetLateRelease));
        if wanted && (given_back || self.is(Mutant::ReleaseAtFirstLmb)) {
            self.release(device, &mut effects);
        }
        effects
    }

    fn release(&mut self, device: Device, effects: &mut Effects) {
        let mut only_one = self.is(Mutant::ReleaseClosesOne);
        for request in self.requests.extract_if(.., |request| request.device == device) {
            effects.events.push(Event::Outcome(Some(request.id), device, Outcome::Released));
            if std::mem::take(&mut only_one) {
                break;
            }
        }
        effects.events.push(Event::Deleted(device));
        self.plugged[device.slot()] = Plugged::No;
        for connector in device.connectors() {
            self.set_state(*connector, State::Unusable);
        }
    }

    /// PUE-V-070 to PUE-V-073
    fn reset(&mut self) -> Effects {
        let mut effects = Effects::default();
        if !self.is(Mutant::StayArmedOverReset) {
            (self.armed, self.features) = (Classes::empty(), Features::empty());
        }
        if !self.is(Mutant::KeepRequestsOverReset) {
            for request in std::mem::take(&mut self.requests) {
                let deleted = Event::Deleted(request.device);
                match request.hint {
                    Some(_) => effects.events.push(inferred(&request)),
                    None => effects.events.push(Event::Outcome(Some(request.id), request.device, Outcome::Reset)),
                }
                if request.hint.is_none() && self.present(request.device) {
                    self.plugged[request.device.slot()] = Plugged::No;
                    effects.events.push(deleted);
                }
            }
        }
        for connector in (0..CONNECTORS as u8).map(Connector) {
            let present = self.present(connector.device());
            self.set_state(connector, if present { State::Configured } else { State::Unusable });
        }
        for plugged in self.plugged.iter_mut().filter(|plugged| **plugged == Plugged::Wanted) {
            *plugged = Plugged::Yes;
        }
        effects
    }

    /// PUE-V-080 to PUE-V-082
    fn migrate(&mut self, level1: bool) -> Effects {
        let keeps_table = self.level1 && level1;
        self.level1 = level1;
        if self.is(Mutant::ForgetOnMigration) {
            self.requests.clear();
        }
        if !keeps_table {
            // Only "a removal is pending" crosses, one mark per device.
            (self.armed, self.features) = (Classes::empty(), Features::empty());
            for request in &mut self.requests {
                (request.token, request.promised, request.hint) = (Token::NONE, false, None);
            }
        }
        Effects::default()
    }
}

/// What the reference VMM offers.
const OFFERED: Classes = Classes::CPU.union(Classes::MEMORY);

fn inferred(request: &Request) -> Event {
    let connector = request.hint.unwrap_or(request.device.connectors()[0]);
    let outcome =
        Outcome::Refused { connector, reason: Reason::UNATTRIBUTED, errno: Errno(0), source: Source::Inferred };
    Event::Outcome(Some(request.id), request.device, outcome)
}

fn refused(id: RequestId, device: Device, connector: Connector, report: Report, token: Token) -> Event {
    let (reason, errno) = match report {
        Report::Refused { reason, errno, .. } => (reason, errno),
        _ => (Reason::UNATTRIBUTED, Errno(0)),
    };
    let source = if token.is_some() { Source::Token } else { Source::Order };
    Event::Outcome(Some(id), device, Outcome::Refused { connector, reason, errno, source })
}

impl Vmm for Reference {
    fn step(&mut self, input: Input) -> Effects {
        match input {
            Input::DeviceDel(device) => self.device_del(device),
            Input::SetIndicator(UNPLUG_STATUS, index, word) => self.report(index, Word(word)),
            Input::SetIndicator(indicator, index, value) => match (indicator, Connector::of(index), value) {
                (Indicator::ISOLATION_STATE, Some(connector), 0 | 1) => {
                    self.isolation(connector, IsolationState(value))
                }
                (Indicator::ALLOCATION_STATE, Some(connector), 0) => self.set_unusable(connector),
                (Indicator::ALLOCATION_STATE, Some(connector), 1) => self.set_usable(connector),
                _ => Effects::status(Status::NO_SUCH_INDICATOR),
            },
            Input::Configure(index) => match Connector::of(index).map(|connector| (connector, self.state(connector))) {
                Some((connector, State::Configured)) if connector.device() == Device::Dimm => self.hint(connector),
                Some((connector, State::Unisolate | State::Configured)) => {
                    self.set_state(connector, State::Configured);
                    Effects::status(Status::SUCCESS)
                }
                _ => Effects::status(Status::NO_SUCH_INDICATOR),
            },
            Input::Reset => self.reset(),
            Input::Migrate => self.migrate(self.level1),
            Input::MigrateToLevel0 => self.migrate(false),
            Input::MigrateToLevel1 => self.migrate(true),
        }
    }

    fn present(&self, device: Device) -> bool {
        self.plugged[device.slot()] != Plugged::No
    }

    fn usable(&self, connector: Connector) -> bool {
        self.state(connector) != State::Unusable
    }

    fn open(&self) -> Vec<Open> {
        let open = |request: &Request| Open { request: request.id, device: request.device, promised: request.promised };
        self.requests.iter().map(open).collect()
    }

    fn offers(&self) -> bool {
        self.level1
    }
}
