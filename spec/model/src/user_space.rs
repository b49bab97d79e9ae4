// SPDX-License-Identifier: MIT OR Apache-2.0

//! User space of the guest: the log of events that the kernel keeps for it, and the agent that reads the log and removes
//! devices. An agent may die, take an event and begin nothing, or begin twice; its child may die too.

use crate::{
    guest::{Delivered, Plan},
    mutant::Mutant,
    violation::{Property, Violation},
    vmm::Vmm,
    world::{Truth, World, place},
};
use papr_unplug_wire::wire::token::Token;

/// The number of events that the log has room for. Linux has room for 64.
const ROOM: usize = 2;

/// The state of user space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserSpace {
    /// Events that nobody has read, the oldest first.
    pub log: Vec<Logged>,
    /// The agent.
    pub agent: Agent,
    /// The request that the agent has removed a device for last, in case it begins again.
    pub done: Option<Delivered>,
}

/// An event of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Logged {
    /// The request.
    pub entry: Delivered,
    /// True if the module has answered the request.
    pub answered: bool,
}

/// The state of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agent {
    /// No process has the log open.
    Absent,
    /// Waiting for an event.
    Reading,
    /// With an event that it has read, and with which it has begun nothing yet.
    Given(Logged),
    /// Waiting for the child that removes the device.
    Waiting,
}

impl UserSpace {
    /// Returns user space after a boot.
    pub fn boot(agent: Agent) -> Self {
        Self { log: Vec::new(), agent, done: None }
    }

    /// Returns whether nothing is left for it to do.
    pub fn is_idle(&self) -> bool {
        match self.agent {
            Agent::Absent => true,
            Agent::Reading => self.log.is_empty(),
            Agent::Given(_) | Agent::Waiting => false,
        }
    }

    /// Returns every request that it has and that is not being worked on.
    pub(crate) fn entries(&mut self) -> impl Iterator<Item = &mut Delivered> {
        let given = match &mut self.agent {
            Agent::Given(logged) => Some(&mut logged.entry),
            Agent::Absent | Agent::Reading | Agent::Waiting => None,
        };
        self.log.iter_mut().map(|logged| &mut logged.entry).chain(given)
    }

    /// Forgets what the module knows: it is unloaded.
    pub(crate) fn forget(&mut self) {
        self.entries().for_each(|entry| (entry.seen, entry.token) = (false, Token::NONE));
        self.log.iter_mut().for_each(|logged| logged.answered = false);
    }
}

impl<V: Vmm> World<V> {
    /// The kernel logs an event for user space.
    pub(crate) fn log(&mut self, entry: Delivered, said: &mut Vec<String>) -> Result<(), Violation> {
        let mut logged = Logged { entry, answered: false };
        if self.guest.user_space.agent == Agent::Absent && self.mutant() != Mutant::SilentWithoutAgent {
            logged.answered = self.give_up(entry, said)?;
        }
        if self.guest.user_space.log.len() == ROOM {
            let lost = self.guest.user_space.log.remove(0);
            if !lost.answered {
                self.case(lost.entry).truth = Truth::Dropped;
                if self.answers(lost.entry) && self.mutant() != Mutant::SilentAboutOverwritten {
                    self.refuse_handed(lost.entry, true, said)?;
                }
            }
        }
        self.guest.user_space.log.push(logged);
        Ok(())
    }

    /// The agent reads the oldest event.
    pub(crate) fn read(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        self.withdraw_if_unseen(said)?;
        let mut logged = self.guest.user_space.log.remove(0);
        // PUE-G-071: what has been answered is void when it is read.
        if logged.answered && self.sees() && self.mutant() != Mutant::BeginAnswered {
            return Ok(());
        }
        let sees = self.sees();
        logged.entry.seen = sees;
        if !sees {
            logged.entry.token = Token::NONE;
        }
        self.guest.user_space.agent = Agent::Given(logged);
        Ok(())
    }

    /// The agent begins with the event that it has read: a child does the work.
    pub(crate) fn begin_handed(&mut self, plan: Plan, said: &mut Vec<String>) -> Result<(), Violation> {
        let Agent::Given(Logged { entry, answered }) = self.guest.user_space.agent else { return Ok(()) };
        self.withdraw_if_unseen(said)?;
        if answered && self.sees() {
            return Err(Violation::new(Property::NoStale, "the guest begins with a request that it has answered"));
        }
        if self.case(entry).outcome.is_none() {
            self.case(entry).truth = plan.refusal(entry.device).map_or(Truth::Done, Truth::Refused);
        }
        self.guest.user_space.agent = Agent::Waiting;
        self.begin(Some(entry), entry.device, plan);
        Ok(())
    }

    /// The agent reads on without having begun anything.
    pub(crate) fn eat(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let Agent::Given(Logged { entry, .. }) = self.guest.user_space.agent else { return Ok(()) };
        self.guest.user_space.agent = Agent::Reading;
        if self.mutant() == Mutant::SilentAboutEaten {
            self.case(entry).truth = Truth::Refused(entry.device.first);
            return Ok(());
        }
        self.give_up(entry, said).map(drop)
    }

    /// The agent dies. A child of it works on.
    pub(crate) fn kill_agent(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let agent = std::mem::replace(&mut self.guest.user_space.agent, Agent::Absent);
        if let Agent::Given(Logged { entry, answered: false }) = agent {
            if self.mutant() == Mutant::SilentAboutKilledAgent {
                self.case(entry).truth = Truth::Refused(entry.device.first);
            } else {
                self.give_up(entry, said)?;
            }
        }
        for at in 0..self.guest.user_space.log.len() {
            let Logged { entry, answered } = self.guest.user_space.log[at];
            if !answered && entry.seen {
                self.guest.user_space.log[at].answered = self.give_up(entry, said)?;
            }
        }
        Ok(())
    }

    /// The agent's child dies: the removal ends where it was.
    pub(crate) fn kill_child(&mut self, said: &mut Vec<String>) -> Result<(), Violation> {
        let Some(attempt) = self.guest.attempt.take() else { return Ok(()) };
        self.child_ended();
        self.withdraw_if_unseen(said)?;
        let Some(entry) = attempt.entry else { return Ok(()) };
        if attempt.made == 0 && self.case(entry).outcome.is_none() {
            self.case(entry).truth = Truth::Refused(entry.device.first);
        }
        if !attempt.observed || !self.answers(entry) || self.mutant() == Mutant::SilentAboutKilledChild {
            return Ok(());
        }
        self.refuse_handed(entry, false, said)
    }

    /// The agent begins once more with a request that it has worked on: the module takes it for nobody's.
    pub(crate) fn begin_again(&mut self, plan: Plan) {
        let Some(entry) = self.guest.user_space.done.take() else { return };
        self.guest.user_space.agent = Agent::Waiting;
        self.begin(Some(entry), entry.device, plan);
        self.forget_attempt();
    }

    /// The child of the agent has ended.
    pub(crate) fn child_ended(&mut self) {
        if self.guest.user_space.agent == Agent::Waiting {
            self.guest.user_space.agent = Agent::Reading;
        }
    }

    /// PUE-G-070: nobody works on a request any more. Returns whether it was answered.
    fn give_up(&mut self, entry: Delivered, said: &mut Vec<String>) -> Result<bool, Violation> {
        self.withdraw_if_unseen(said)?;
        if !self.answers(entry) {
            return Ok(false);
        }
        self.case(entry).truth = Truth::Refused(entry.device.first);
        self.refuse_handed(entry, false, said)?;
        Ok(true)
    }

    fn answers(&self, entry: Delivered) -> bool {
        entry.seen && self.sees()
    }

    fn refuse_handed(&mut self, entry: Delivered, dropped: bool, said: &mut Vec<String>) -> Result<(), Violation> {
        self.observe(entry);
        self.about = entry.token.is_some().then_some(entry.request);
        let refused = self.refuse(entry.token, entry.device.first, dropped, false, said);
        self.about = None;
        refused
    }

    fn case(&mut self, entry: Delivered) -> &mut crate::world::Knowledge {
        &mut self.cases[place(entry.request)]
    }
}
