// SPDX-License-Identifier: MIT OR Apache-2.0

//! A user, a VMM and a guest, and everything that can happen to them.

use crate::{
    action::{Action, Budget},
    guest::{Attempt, Call, Entry, Guest, Module, Plan, arm, refused, sent},
    machine::{CONNECTORS, Connector, Device},
    mutant::Mutant,
    property::{Property, Violation},
    vmm::{Effects, Event, Input, Outcome, RequestId, Vmm},
};
use papr_unplug_wire::wire::{
    offer::Features,
    report::Report,
    rtas::{Indicator, IsolationState, Status},
    token::Token,
};

/// The world, and what an observer who sees everything knows about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World<V> {
    /// The VMM under study.
    pub vmm: V,
    /// The guest.
    pub guest: Guest,
    /// What became of each request.
    pub cases: Vec<Case>,
    /// What may still happen.
    pub left: Budget,
    /// The guest's ARM stands, here.
    pub armed: bool,
    mutant: Mutant,
}

/// What an observer knows about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// What was to be removed.
    pub device: Device,
    /// The guest has promised to answer, and the promise stands.
    pub promised: bool,
    /// The module saw the guest handle it from beginning to end.
    pub observed: bool,
    /// What the guest did about it.
    pub truth: Truth,
    /// What the user was told.
    pub outcome: Option<Outcome>,
}

/// What a guest did about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// Nothing yet.
    Open,
    /// It refused, at this connector.
    Refused(Connector),
    /// It tried to release everything.
    Done,
    /// Its kernel had no memory for the request.
    Dropped,
    /// It died while the request was with it.
    Lost,
}

impl<V: Vmm> World<V> {
    /// A world in which the guest has booted, with its module armed or absent.
    pub fn new(vmm: V, armed: bool, mutant: Mutant, left: Budget) -> Self {
        let offer = vmm.offers();
        let guest = Guest::boot(offer, [true; CONNECTORS]);
        let mut world = Self { vmm, guest, cases: Vec::new(), left, armed: false, mutant };
        if armed {
            world.load(&mut Vec::new()).unwrap_or_else(|violation| unreachable!("{violation}"));
        }
        world
    }

    /// Everything that can happen next.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let guest = &self.guest;
        let asks = Device::ALL.into_iter().filter(|device| self.left.requests > 0 && self.vmm.present(*device));
        actions.extend(asks.map(Action::Ask));
        if guest.alive {
            if !guest.events.is_empty() {
                actions.extend([Action::Fetch, Action::Drop]);
            }
            match (guest.attempt, guest.queue.first()) {
                (Some(attempt), _) if usize::from(attempt.made) < attempt.plan.calls(attempt.device).len() => {
                    actions.push(Action::Call);
                }
                (Some(_), _) => actions.push(Action::Finish),
                (None, Some(entry)) if entry.dropped => actions.push(Action::AnswerDropped),
                (None, Some(entry)) => {
                    actions.extend(self.plans(entry.device, Plan::of_request).map(Action::Start));
                }
                (None, None) => {}
            }
            if guest.attempt.is_none() {
                for device in Device::ALL {
                    actions.extend(self.plans(device, Plan::of_guest).map(|plan| Action::AskInside(device, plan)));
                }
            }
            actions.extend(guest.last.map(|_| Action::Repeat));
            actions.push(if guest.module == Module::Absent { Action::Load } else { Action::Unload });
            actions.extend([Action::CrashKernel, Action::Hang]);
        }
        actions.push(Action::Reset);
        actions.push(Action::Migrate(Input::Migrate));
        let (other, known) =
            if self.vmm.offers() { (Input::MigrateToLevel0, true) } else { (Input::MigrateToLevel1, guest.offer) };
        actions.extend(known.then_some(Action::Migrate(other)));
        actions.retain(|action| self.left.allows(*action));
        actions
    }

    /// The plans that make sense for a device, given what the guest still holds of it.
    fn plans(&self, device: Device, of: fn(Device) -> &'static [Plan]) -> impl Iterator<Item = Plan> {
        let held = self.guest.held;
        of(device).iter().copied().filter(move |plan| {
            let last = device.connectors()[device.connectors().len() - 1];
            match plan.refusal(device) {
                Some(connector) => held[connector.slot()] || (*plan == Plan::Refuse && !held[last.slot()]),
                None => *plan == Plan::Release || held.iter().skip(1).all(|held| *held),
            }
        })
    }

    /// Lets it happen. What was said between the VMM, the guest and the user goes to `said`.
    pub fn apply(&mut self, action: Action, said: &mut Vec<String>) -> Result<(), Violation> {
        self.left.spend(action);
        match action {
            Action::Ask(device) => self.ask(device, said),
            Action::Fetch | Action::Drop => {
                let mut entry = self.guest.events.remove(0);
                entry.seen = self.guest.module != Module::Absent;
                entry.token = if entry.seen { entry.token } else { Token::NONE };
                entry.dropped = action == Action::Drop;
                if entry.dropped {
                    self.cases[usize::from(entry.request)].truth = Truth::Dropped;
                }
                self.guest.queue.push(entry);
                Ok(())
            }
            Action::Start(plan) => {
                let entry = self.guest.queue.remove(0);
                let case = &mut self.cases[usize::from(entry.request)];
                case.truth = plan.refusal(entry.device).map_or(Truth::Done, Truth::Refused);
                self.begin(Some(entry), entry.device, plan);
                Ok(())
            }
            Action::AskInside(device, plan) => {
                self.begin(None, device, plan);
                Ok(())
            }
            Action::Call => self.call(said),
            Action::Finish => self.finish(said),
            Action::AnswerDropped => {
                let entry = self.guest.queue.remove(0);
                let answers = entry.seen && self.guest.module != Module::Absent;
                if answers && self.mutant != Mutant::SilentAboutDropped {
                    self.observe(entry);
                    self.refuse(entry.token, entry.device.connectors()[0], true, false, said)?;
                }
                Ok(())
            }
            Action::Repeat => match self.guest.last {
                Some((report, connector)) => self.vmm(sent(report, Some(connector)), said).map(drop),
                None => Ok(()),
            },
            Action::Load => self.load(said),
            Action::Unload => {
                let disarm = self.guest.module == Module::Armed && self.mutant != Mutant::UnloadArmed;
                self.guest.module = Module::Absent;
                self.guest.last = None;
                self.break_promises();
                self.forget_attempt();
                if disarm { self.vmm(sent(Report::Disarm, None), said).map(drop) } else { Ok(()) }
            }
            Action::CrashKernel => {
                self.break_promises();
                self.guest.promise_orphaned = self.guest.module == Module::Armed;
                (self.guest.module, self.guest.last) = (Module::Absent, None);
                let lost = self.guest.queue.drain(..).chain(self.guest.attempt.take().and_then(|now| now.entry));
                for entry in lost {
                    self.cases[usize::from(entry.request)].truth = Truth::Lost;
                }
                for connector in (0..CONNECTORS as u8).map(Connector) {
                    self.guest.held[connector.slot()] = self.vmm.usable(connector);
                }
                Ok(())
            }
            Action::Hang => {
                self.guest.alive = false;
                Ok(())
            }
            Action::Reset => {
                self.break_promises();
                self.guest = Guest::boot(self.vmm.offers(), [false; CONNECTORS]);
                self.vmm(Input::Reset, said)?;
                for device in Device::ALL {
                    for connector in device.connectors() {
                        self.guest.held[connector.slot()] = self.vmm.present(device);
                    }
                }
                Ok(())
            }
            Action::Migrate(input) => {
                if input != Input::Migrate {
                    self.break_promises();
                    self.forget_attempt();
                }
                self.vmm(input, said).map(drop)
            }
        }?;
        if !self.left.allows(Action::Repeat) {
            self.guest.last = None;
        }
        self.check_user()
    }

    fn ask(&mut self, device: Device, said: &mut Vec<String>) -> Result<(), Violation> {
        let before = self.cases.len();
        // A guest that hangs has promised all the same: nobody outside can know.
        let promised = self.armed && self.vmm.offers();
        self.cases.push(Case { device, promised, observed: false, truth: Truth::Open, outcome: None });
        let effects = self.vmm(Input::DeviceDel(device), said)?;
        match effects.asked {
            Some(Ok(id)) if usize::from(id) == before => Ok(()),
            Some(Err(_)) => {
                // Told at once; the user knows where they stand. Whether it was right is asked of idle guests.
                self.cases.pop();
                self.left.requests += 1;
                Ok(())
            }
            _ => Err(Violation::new(Property::ExactlyOnce, "device_del gave no new request")),
        }
    }

    fn begin(&mut self, entry: Option<Entry>, device: Device, plan: Plan) {
        let observed = self.guest.module != Module::Absent;
        self.guest.attempt = Some(Attempt { entry, device, plan, made: 0, observed, signalled: false });
    }

    fn call(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let Some(mut attempt) = self.guest.attempt else { return Ok(()) };
        let call = attempt.plan.calls(attempt.device)[usize::from(attempt.made)];
        let connector = call.connector();
        let index = connector.index();
        attempt.made += 1;
        // Linux asks dr-entity-sense before it unisolates, and leaves alone what it does not hold.
        let makes = match call {
            Call::Unisolate(_) => self.vmm.usable(connector),
            _ => self.guest.held[connector.slot()],
        };
        attempt.signalled |= makes && matches!(call, Call::Unisolate(_) | Call::Configure(_));
        self.guest.attempt = Some(attempt);
        if !makes {
            return Ok(());
        }
        match call {
            Call::Isolate(_) => {
                let isolate = Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::ISOLATE.0);
                let effects = self.vmm(isolate, said)?;
                // Linux has let the memory go and does not look at what the platform says.
                self.guest.held[connector.slot()] &= effects.status == Some(Status::SUCCESS);
            }
            Call::SetUnusable(_) => {
                self.guest.held[connector.slot()] = false;
                self.vmm(Input::SetIndicator(Indicator::ALLOCATION_STATE, index, 0), said)?;
            }
            Call::Unisolate(_) => {
                self.vmm(Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::UNISOLATE.0), said)?;
            }
            Call::Configure(_) => {
                self.vmm(Input::Configure(index), said)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let Some(attempt) = self.guest.attempt.take() else { return Ok(()) };
        let entry = match attempt.entry {
            Some(entry) => entry,
            None if self.mutant == Mutant::ReportGuestInitiated => {
                Entry { request: 0, device: attempt.device, token: Token(1), seen: true, dropped: false }
            }
            None => return Ok(()),
        };
        if !attempt.observed || self.guest.module == Module::Absent {
            return Ok(());
        }
        if attempt.entry.is_some() {
            self.observe(entry);
        }
        let newest = self.guest.queue.last().map_or(entry.token, |entry| entry.token);
        let token = if self.mutant == Mutant::NewestToken { newest } else { entry.token };
        match attempt.plan.refusal(attempt.device) {
            Some(_) if self.mutant == Mutant::SilentWithKernel && !attempt.signalled => Ok(()),
            Some(connector) => self.refuse(token, connector, false, attempt.signalled, said),
            None if self.mutant == Mutant::SilentAboutDone => Ok(()),
            None => self.report(Report::Done { token }, attempt.device.connectors()[0], said).map(drop),
        }
    }

    /// PUE-G-030 to PUE-G-034, PUE-G-050: reports a refusal, or signals it where nobody takes reports.
    fn refuse(
        &mut self,
        token: Token,
        connector: Connector,
        dropped: bool,
        signalled: bool,
        said: &mut Vec<String>,
    ) -> Result<(), Violation> {
        let taken = self.report(refused(token, connector, dropped), connector, said)?;
        if !taken && !signalled {
            let index = connector.index();
            self.vmm(Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::UNISOLATE.0), said)?;
        }
        if !taken && self.guest.module == Module::Armed {
            self.arm(said)?;
        }
        Ok(())
    }

    /// PUE-G-040, PUE-G-041: sends a report; whether the VMM has taken it.
    fn report(&mut self, report: Report, connector: Connector, said: &mut Vec<String>) -> Result<bool, Violation> {
        if self.guest.module != Module::Armed {
            return Ok(false);
        }
        match self.vmm(sent(report, Some(connector)), said)?.status {
            Some(Status::NO_SUCH_INDICATOR) => {
                self.guest.module = Module::Level0;
                Ok(self.mutant == Mutant::IgnoreNoSuchIndicator)
            }
            Some(Status::NOT_ARMED) => Ok(self.mutant == Mutant::IgnoreNotArmed),
            _ => {
                self.guest.last = self.left.allows(Action::Repeat).then_some((report, connector));
                Ok(true)
            }
        }
    }

    fn load(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        self.guest.module = Module::Level0;
        if !self.guest.offer {
            return Ok(());
        }
        if self.mutant != Mutant::LoadWithoutDisarm {
            self.vmm(sent(Report::Disarm, None), said)?;
        }
        self.guest.promise_orphaned = false;
        self.arm(said)
    }

    fn arm(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let status = self.vmm(sent(arm(Features::TOKEN), None), said)?.status;
        let taken = status == Some(Status::SUCCESS);
        self.guest.module = if taken { Module::Armed } else { Module::Level0 };
        self.armed = taken;
        Ok(())
    }

    fn break_promises(&mut self) {
        self.armed = false;
        for case in &mut self.cases {
            case.promised = false;
        }
    }

    fn forget_attempt(&mut self) {
        if let Some(attempt) = &mut self.guest.attempt {
            attempt.observed = false;
        }
    }

    fn observe(&mut self, entry: Entry) {
        self.cases[usize::from(entry.request)].observed = true;
    }

    /// Gives the VMM an input, takes down what it tells, and checks that.
    fn vmm(&mut self, input: Input, said: &mut Vec<String>) -> Result<Effects, Violation> {
        let effects = self.vmm.step(input);
        let status = effects.status.map(|status| format!(" -> {status}")).unwrap_or_default();
        said.push(format!("{input}{status}"));
        if let Some(site) = effects.abort {
            said.push(format!("the VMM aborts: {site}"));
            return Err(Violation::new(Property::NoAbort, site));
        }
        for event in &effects.events {
            said.push(event.to_string());
            match *event {
                Event::Hotplug(device, token) => {
                    let request = self.cases.len().saturating_sub(1) as RequestId;
                    self.guest.events.push(Entry { request, device, token, seen: false, dropped: false });
                }
                Event::Outcome(request, device, outcome) => self.tell(request, device, outcome)?,
                Event::Deleted(device) => self.check_deleted(device, input)?,
            }
        }
        if input == Input::Reset {
            self.guest.events.clear();
        }
        Ok(effects)
    }
}
