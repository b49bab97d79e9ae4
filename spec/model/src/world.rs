// SPDX-License-Identifier: MIT OR Apache-2.0

//! World of the model: a user, a VMM and a guest, and the actions on them.

use crate::{
    action::{Action, Budget},
    guest::{Delivered, FirmwareCall, Guest, Module, Plan, Removal, arm, refused, sent},
    machine::{DEVICES, Device, PerConnector, USER_SPACE_DEVICES, slot},
    mutant::Mutant,
    user_space::{Agent, UserSpace},
    violation::{Property, Violation},
    vmm::{Effects, Event, Input, Outcome, RequestId, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::Features,
    report::Report,
    rtas::{Indicator, IsolationState, Status},
    token::Token,
};

/// The world, and the knowledge of an observer who sees everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World<V> {
    /// The VMM under study.
    pub vmm: V,
    /// The guest.
    pub guest: Guest,
    /// The requests, the oldest first.
    pub cases: Vec<Knowledge>,
    /// The actions that may still happen.
    pub left: Budget,
    /// True if the guest has armed with tokens.
    pub armed: bool,
    /// The request of the report that is being sent, if the report has a token.
    pub(crate) about: Option<RequestId>,
    pub(crate) devices: &'static [Device],
    mutant: Mutant,
}

/// The knowledge of an observer about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Knowledge {
    /// The device.
    pub device: Device,
    /// True if the guest has promised to answer, and the promise stands.
    pub promised: bool,
    /// True if the guest is asked only together with another device, which nobody asks for.
    pub withheld: bool,
    /// True if the module saw the whole removal.
    pub observed: bool,
    /// True if the kernel hinted at it while it was not promised.
    pub hinted: bool,
    /// True if a later request for the device was answered by token while no answer to this one was promised.
    pub passed_over: bool,
    /// The decision of the guest.
    pub truth: Truth,
    /// The outcome that the user was told.
    pub outcome: Option<Outcome>,
}

impl Knowledge {
    /// Returns whether the request is open, and the guest was not asked.
    pub(crate) fn is_withheld(&self) -> bool {
        self.withheld && self.outcome.is_none()
    }
}

/// The decision of a guest about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// No decision yet.
    Open,
    /// The guest refused, at this connector.
    Refused(DrcIndex),
    /// The guest tried to release everything.
    Done,
    /// The kernel had no memory for the request.
    Dropped,
    /// The kernel died with the request.
    Lost,
}

/// Returns the place of a request in the list of cases.
pub(crate) fn place(request: RequestId) -> usize {
    usize::try_from(request).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

impl<V: Vmm> World<V> {
    /// Returns a world in which the guest has booted, with its module armed or absent.
    pub fn new(vmm: V, armed: bool, mutant: Mutant, left: Budget) -> Self {
        Self::with(&DEVICES, vmm, armed, mutant, left)
    }

    /// Returns a world in which the guest's user space removes the devices. An agent runs.
    pub fn of_user_space(vmm: V, armed: bool, mutant: Mutant, left: Budget) -> Self {
        Self::with(&USER_SPACE_DEVICES, vmm, armed, mutant, left)
    }

    fn with(devices: &'static [Device], vmm: V, armed: bool, mutant: Mutant, left: Budget) -> Self {
        let guest = Guest::boot(vmm.offers(), PerConnector::default(), agent_at_boot(devices));
        let mut world = Self { vmm, guest, cases: Vec::new(), left, armed: false, about: None, devices, mutant };
        world.hold_present();
        if armed {
            world.load(&mut Vec::new()).unwrap_or_else(|violation| unreachable!("{violation}"));
        }
        world
    }

    /// Returns every action that can happen next.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let guest = &self.guest;
        // A device that goes only with another one is not asked for by itself.
        let is_withheld = |device: Device| self.cases.iter().any(|case| case.device == device && case.is_withheld());
        let can_be_asked_for =
            |device: &Device| self.left.requests > 0 && self.vmm.present(*device) && !is_withheld(*device);
        let asked_for = self.devices.iter().copied().filter(can_be_asked_for);
        actions.extend(asked_for.clone().map(Action::Ask));
        if V::NAMES_REQUESTS {
            actions.extend(asked_for.map(Action::Withhold));
        }
        if guest.alive {
            if let Some(event) = guest.events.first() {
                actions.push(Action::Fetch);
                actions.extend((!event.device.is_in_user_space()).then_some(Action::Drop));
            }
            self.add_user_space_actions(&mut actions);
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
                for device in self.devices.iter().copied() {
                    actions.extend(self.plans(device, Plan::of_guest).map(|plan| Action::AskInside(device, plan)));
                }
            }
            actions.extend(guest.last.map(|_| Action::Repeat));
            actions.push(if guest.module == Module::Absent { Action::Load } else { Action::Unload });
            actions.extend([Action::CrashKernel, Action::Hang]);
            if guest.probes {
                actions.push(Action::ProbesOff);
            }
            if guest.module == Module::Armed && self.armed {
                actions.push(Action::ArmWithoutTokens);
            }
        }
        let open = self.cases.iter().zip(1..).filter(|(case, _)| V::NAMES_REQUESTS && case.outcome.is_none());
        actions.extend(open.map(|(_, request)| Action::Withdraw(request)));
        actions.push(Action::Reset);
        actions.push(Action::Migrate(Input::Migrate));
        let (other, known) =
            if self.vmm.offers() { (Input::MigrateToLevel0, true) } else { (Input::MigrateToLevel1, guest.offer) };
        actions.extend(known.then_some(Action::Migrate(other)));
        actions.retain(|action| self.left.allows(*action));
        actions
    }

    fn add_user_space_actions(&self, actions: &mut Vec<Action>) {
        let UserSpace { log, agent, done } = &self.guest.user_space;
        let is_free = self.guest.attempt.is_none();
        match agent {
            Agent::Absent if agent_at_boot(self.devices) == Agent::Absent => return,
            Agent::Absent => actions.push(Action::StartAgent),
            Agent::Reading if !log.is_empty() => actions.push(Action::Read),
            Agent::Given(logged) => {
                // A child that finds another one at work gives up at once, which is as if there had been none.
                if is_free {
                    actions.extend(self.plans(logged.entry.device, Plan::of_request).map(Action::BeginHanded));
                }
                actions.push(Action::Eat);
            }
            Agent::Reading | Agent::Waiting => {}
        }
        if *agent != Agent::Absent {
            actions.push(Action::KillAgent);
        }
        if self.guest.attempt.is_some_and(|attempt| attempt.entry.is_some()) {
            actions.push(Action::KillChild);
        }
        if let (Agent::Reading, true, Some(entry)) = (agent, is_free, done) {
            actions.extend(self.plans(entry.device, Plan::of_request).map(Action::BeginAgain));
        }
    }

    /// Returns the plans that are possible with the connectors that the guest holds.
    fn plans(&self, device: Device, of: fn(Device) -> &'static [Plan]) -> impl Iterator<Item = Plan> {
        let held = self.guest.held;
        of(device).iter().copied().filter(move |plan| match plan.refusal(device) {
            Some(connector) => held[slot(connector)] || (*plan == Plan::Refuse && !held[slot(device.last())]),
            None => *plan == Plan::Release || device.connectors().all(|connector| held[slot(connector)]),
        })
    }

    /// Applies an action. `said` gets what the VMM, the guest and the user tell each other.
    pub fn apply(&mut self, action: Action, said: &mut Vec<String>) -> Result<(), Violation> {
        self.left.spend(action);
        match action {
            Action::Ask(device) => self.ask(device, false, said),
            Action::Withhold(device) => self.ask(device, true, said),
            Action::Fetch | Action::Drop => {
                let mut entry = self.guest.events.remove(0);
                self.check_taken(entry.request)?;
                self.withdraw_if_unseen(said)?;
                entry.seen = self.sees();
                entry.token = if entry.seen { entry.token } else { Token::NONE };
                entry.dropped = action == Action::Drop;
                if entry.dropped {
                    self.cases[place(entry.request)].truth = Truth::Dropped;
                }
                if entry.device.is_in_user_space() {
                    return self.log(entry, said);
                }
                self.guest.queue.push(entry);
                Ok(())
            }
            Action::Start(plan) => {
                let entry = self.guest.queue.remove(0);
                self.withdraw_if_unseen(said)?;
                let case = &mut self.cases[place(entry.request)];
                case.truth = plan.refusal(entry.device).map_or(Truth::Done, Truth::Refused);
                self.begin(Some(entry), entry.device, plan);
                Ok(())
            }
            Action::AskInside(device, plan) => {
                self.begin(None, device, plan);
                Ok(())
            }
            Action::Read => self.read(said),
            Action::BeginHanded(plan) => self.begin_handed(plan, said),
            Action::Eat => self.eat(said),
            Action::BeginAgain(plan) => {
                self.begin_again(plan);
                Ok(())
            }
            Action::KillAgent => self.kill_agent(said),
            Action::KillChild => self.kill_child(said),
            Action::StartAgent => {
                self.guest.user_space.agent = Agent::Reading;
                Ok(())
            }
            Action::Call => self.call(said),
            Action::Finish => self.finish(said),
            Action::AnswerDropped => {
                let entry = self.guest.queue.remove(0);
                self.withdraw_if_unseen(said)?;
                let answers = entry.seen && self.guest.module != Module::Absent;
                if answers && self.mutant != Mutant::SilentAboutDropped {
                    self.observe(entry);
                    self.about = entry.token.is_some().then_some(entry.request);
                    self.refuse(entry.token, entry.device.first, true, false, said)?;
                }
                Ok(())
            }
            Action::Repeat => match self.guest.last {
                Some((report, connector)) => {
                    let has_token = match report {
                        Report::Refused { token, .. } | Report::Done { token } => token.is_some(),
                        _ => false,
                    };
                    // The request that it is about has ended.
                    self.about = has_token.then_some(RequestId::MAX);
                    self.vmm(sent(report, Some(connector)), said).map(drop)
                }
                None => Ok(()),
            },
            Action::Withdraw(request) => match self.vmm(Input::Withdraw(request), said)?.asked {
                Some(Ok(_)) => Ok(()),
                _ => Err(Violation::new(Property::ExactlyOnce, "a request that is open cannot be withdrawn")),
            },
            Action::ProbesOff => {
                self.guest.probes = false;
                self.forget_attempt();
                Ok(())
            }
            Action::ArmWithoutTokens => {
                self.break_promises();
                self.forget_tokens();
                self.vmm(sent(arm(Features::empty()), None), said).map(drop)
            }
            Action::Load => self.load(said),
            Action::Unload => {
                let disarm = self.guest.module == Module::Armed && self.mutant != Mutant::UnloadArmed;
                self.guest.module = Module::Absent;
                self.guest.last = None;
                self.break_promises();
                self.forget_attempt();
                self.guest.user_space.forget();
                if disarm { self.vmm(sent(Report::Disarm, None), said).map(drop) } else { Ok(()) }
            }
            Action::CrashKernel => {
                self.break_promises();
                self.guest.promise_orphaned = self.guest.module == Module::Armed;
                (self.guest.module, self.guest.last) = (Module::Absent, None);
                let handed: Vec<_> = self.guest.user_space.entries().map(|entry| *entry).collect();
                let lost = self.guest.queue.drain(..).chain(self.guest.attempt.take().and_then(|now| now.entry));
                for entry in lost.chain(handed) {
                    self.cases[place(entry.request)].truth = Truth::Lost;
                }
                self.guest.user_space = UserSpace::boot(agent_at_boot(self.devices));
                let held = self.guest.held;
                self.hold_present();
                // An isolated physical connector says PRESENT too.
                for connector in USER_SPACE_DEVICES.iter().flat_map(|device| device.connectors()) {
                    self.guest.held[slot(connector)] &= held[slot(connector)];
                }
                Ok(())
            }
            Action::Hang => {
                self.guest.alive = false;
                Ok(())
            }
            Action::Reset => {
                self.break_promises();
                let agent = agent_at_boot(self.devices);
                self.guest = Guest::boot(self.vmm.offers(), PerConnector::default(), agent);
                self.vmm(Input::Reset, said)?;
                for device in self.devices {
                    for connector in device.connectors() {
                        self.guest.held[slot(connector)] = self.vmm.present(*device);
                    }
                }
                Ok(())
            }
            Action::Migrate(input) => {
                if input != Input::Migrate {
                    self.break_promises();
                    self.forget_attempt();
                    // The mark of a removal is all that goes along.
                    self.cases.iter_mut().for_each(|case| case.withheld = false);
                }
                self.vmm(input, said).map(drop)
            }
        }?;
        self.about = None;
        if !self.left.allows(Action::Repeat) {
            self.guest.last = None;
        }
        if !self.left.allows(Action::BeginAgain(Plan::Release)) {
            self.guest.user_space.done = None;
        }
        self.check_user()
    }

    fn ask(&mut self, device: Device, withheld: bool, said: &mut Vec<String>) -> Result<(), Violation> {
        let before = self.cases.len();
        // A guest that hangs has promised all the same: no observer outside can know.
        let promised = self.armed && self.vmm.offers() && !withheld;
        let truth = Truth::Open;
        self.cases.push(Knowledge {
            device,
            promised,
            withheld,
            observed: false,
            hinted: false,
            passed_over: false,
            truth,
            outcome: None,
        });
        let input = if withheld { Input::Withhold(device) } else { Input::DeviceDel(device) };
        let effects = self.vmm(input, said)?;
        match effects.asked {
            Some(Ok(id)) if place(id) == before => Ok(()),
            Some(Err(_)) => {
                // The user is told at once. Properties of idle guests check that the answer was right.
                self.cases.pop();
                self.left.requests += 1;
                Ok(())
            }
            _ => Err(Violation::new(Property::ExactlyOnce, "device_del gave no new request")),
        }
    }

    /// The kernel holds what it can use.
    fn hold_present(&mut self) {
        for connector in self.devices.iter().flat_map(|device| device.connectors()) {
            self.guest.held[slot(connector)] = self.vmm.usable(connector);
        }
    }

    pub(crate) fn mutant(&self) -> Mutant {
        self.mutant
    }

    pub(crate) fn begin(&mut self, entry: Option<Delivered>, device: Device, plan: Plan) {
        let observed = self.sees();
        self.guest.attempt = Some(Removal { entry, device, plan, made: 0, observed, signalled: false });
    }

    fn call(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let Some(mut attempt) = self.guest.attempt else { return Ok(()) };
        let call = attempt.plan.calls(attempt.device)[usize::from(attempt.made)];
        let connector = call.connector();
        let index = connector;
        attempt.made += 1;
        // Linux asks dr-entity-sense before it unisolates, and leaves alone what it does not hold.
        let makes = match call {
            FirmwareCall::Unisolate(_) => self.vmm.usable(connector),
            _ => self.guest.held[slot(connector)],
        };
        attempt.signalled |= makes && matches!(call, FirmwareCall::Unisolate(_) | FirmwareCall::Configure(_));
        self.guest.attempt = Some(attempt);
        if !makes {
            return Ok(());
        }
        if let (FirmwareCall::Unisolate(_) | FirmwareCall::Configure(_), Some(entry)) = (call, attempt.entry) {
            let case = &mut self.cases[place(entry.request)];
            let is_hint = !self.guest.isolated[slot(connector)];
            case.hinted |= is_hint && !case.promised && case.outcome.is_none();
        }
        match call {
            // A physical connector that is isolated is given back.
            FirmwareCall::Isolate(_) if attempt.device.is_in_user_space() => {
                self.guest.held[slot(connector)] = false;
                self.vmm(Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::ISOLATE.0), said)?;
            }
            FirmwareCall::Isolate(_) => {
                let isolate = Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::ISOLATE.0);
                let effects = self.vmm(isolate, said)?;
                self.guest.isolated[slot(connector)] |= effects.status == Some(Status::SUCCESS);
                // Linux has put the memory offline, and ignores the status of this call.
                self.guest.held[slot(connector)] &= effects.status == Some(Status::SUCCESS);
            }
            FirmwareCall::SetUnusable(_) => {
                self.guest.held[slot(connector)] = false;
                self.vmm(Input::SetIndicator(Indicator::ALLOCATION_STATE, index, 0), said)?;
            }
            FirmwareCall::Unisolate(_) => {
                self.vmm(Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::UNISOLATE.0), said)?;
            }
            FirmwareCall::Configure(_) => {
                self.guest.isolated[slot(connector)] = false;
                self.vmm(Input::Configure(index), said)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let Some(attempt) = self.guest.attempt.take() else { return Ok(()) };
        self.child_ended();
        self.guest.user_space.done = attempt.entry.filter(|entry| entry.device.is_in_user_space());
        let entry = match attempt.entry {
            Some(entry) => entry,
            None if self.mutant == Mutant::ReportGuestInitiated => {
                Delivered { request: 1, device: attempt.device, token: Token(1), seen: true, dropped: false }
            }
            None => return Ok(()),
        };
        self.withdraw_if_unseen(said)?;
        if !attempt.observed || self.guest.module == Module::Absent {
            return Ok(());
        }
        if attempt.entry.is_some() {
            self.observe(entry);
            self.about = entry.token.is_some().then_some(entry.request);
        }
        let newest = self.guest.queue.last().map_or(entry.token, |entry| entry.token);
        let token = if self.mutant == Mutant::NewestToken { newest } else { entry.token };
        match attempt.plan.refusal(attempt.device) {
            Some(_) if self.mutant == Mutant::SilentWithKernel && !attempt.signalled => Ok(()),
            Some(connector) => self.refuse(token, connector, false, attempt.signalled, said),
            None if self.mutant == Mutant::SilentAboutDone => Ok(()),
            None => self.report(Report::Done { token }, attempt.device.first, said).map(drop),
        }
    }

    /// PUE-G-030 to PUE-G-034, PUE-G-050: reports a refusal, or signals it where the VMM takes no reports.
    pub(crate) fn refuse(
        &mut self,
        token: Token,
        connector: DrcIndex,
        dropped: bool,
        signalled: bool,
        said: &mut Vec<String>,
    ) -> Result<(), Violation> {
        let taken = self.report(refused(token, connector, dropped), connector, said)?;
        self.about = None;
        if !taken && !signalled {
            let index = connector;
            self.vmm(Input::SetIndicator(Indicator::ISOLATION_STATE, index, IsolationState::UNISOLATE.0), said)?;
        }
        if !taken && self.guest.module == Module::Armed {
            if self.mutant != Mutant::KeepTokens {
                self.forget_tokens();
            }
            self.arm(said)?;
        }
        Ok(())
    }

    /// PUE-G-041: the tokens that were read came from a VMM that is gone.
    fn forget_tokens(&mut self) {
        let kept = self.guest.user_space.entries();
        kept.for_each(|entry| entry.token = Token::NONE);
        let queue = self.guest.queue.iter_mut().chain(&mut self.guest.events);
        let attempt = self.guest.attempt.iter_mut().filter_map(|attempt| attempt.entry.as_mut());
        queue.chain(attempt).for_each(|entry| entry.token = Token::NONE);
    }

    /// Returns whether the module sees what the kernel does.
    pub(crate) fn sees(&self) -> bool {
        self.guest.module != Module::Absent && self.guest.probes
    }

    /// PUE-G-018: work on a request that the probes do not see ends the promise.
    pub(crate) fn withdraw_if_unseen(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let is_unseen = self.guest.module == Module::Armed && !self.guest.probes;
        if !is_unseen || self.mutant == Mutant::PromiseUnseen {
            return Ok(());
        }
        self.guest.module = Module::Level0;
        self.break_promises();
        self.vmm(sent(Report::Disarm, None), said).map(drop)
    }

    /// PUE-V-074, PUE-V-075: what the guest takes from the queue is about a request that is open.
    fn check_taken(&self, request: RequestId) -> Result<(), Violation> {
        match self.cases.get(place(request)) {
            Some(case) if case.outcome.is_some() && V::NAMES_REQUESTS => Err(Violation::new(
                Property::NoStale,
                "the guest is asked for a device whose removal is not wanted any more",
            )),
            _ => Ok(()),
        }
    }

    /// PUE-G-040, PUE-G-041: sends a report; returns whether the VMM has taken it.
    fn report(&mut self, report: Report, connector: DrcIndex, said: &mut Vec<String>) -> Result<bool, Violation> {
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
        // PUE-G-016: a canary shows that the probes fire.
        if !self.guest.probes && self.mutant != Mutant::ArmWithoutCanary {
            self.guest.module = Module::Level0;
            return Ok(());
        }
        let status = self.vmm(sent(arm(Features::TOKEN), None), said)?.status;
        let taken = status == Some(Status::SUCCESS);
        self.guest.module = if taken { Module::Armed } else { Module::Level0 };
        self.armed = taken;
        if taken && !self.guest.probes {
            return Err(Violation::new(Property::TruePromise, "a guest promises that does not see its kernel"));
        }
        Ok(())
    }

    fn break_promises(&mut self) {
        self.armed = false;
        for case in &mut self.cases {
            case.promised = false;
        }
    }

    pub(crate) fn forget_attempt(&mut self) {
        if let Some(attempt) = &mut self.guest.attempt {
            attempt.observed = false;
        }
    }

    pub(crate) fn observe(&mut self, entry: Delivered) {
        self.cases[place(entry.request)].observed = true;
    }

    /// Gives the VMM an input, and checks its effects.
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
                Event::Hotplug(request, device, token) => {
                    self.guest.events.push(Delivered { request, device, token, seen: false, dropped: false });
                }
                Event::Outcome(request, device, outcome) => {
                    self.tell(request, device, outcome)?;
                    if self.mutant != Mutant::KeepEvents && request.is_some() {
                        self.guest.events.retain(|entry| Some(entry.request) != request);
                    }
                }
                Event::Deleted(device, ..) => self.check_deleted(device, input)?,
            }
        }
        if input == Input::Reset {
            self.guest.events.clear();
        }
        Ok(effects)
    }
}

/// Returns whether an agent runs when the guest has booted: only where there is something for it to do.
fn agent_at_boot(devices: &[Device]) -> Agent {
    if devices.iter().any(|device| device.is_in_user_space()) { Agent::Reading } else { Agent::Absent }
}
