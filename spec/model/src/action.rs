// SPDX-License-Identifier: MIT OR Apache-2.0

//! Actions: everything that can happen to the world, and how often.

use crate::{
    guest::Plan,
    machine::{CPU, DIMM, Device},
    vmm::{Input, RequestId},
};
use std::fmt;

/// An action of the user, the guest or the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The user asks.
    Ask(Device),
    /// The user asks for a device that goes only together with another one, which nobody asks for.
    Withhold(Device),
    /// The kernel takes a hot plug event and queues it.
    Fetch,
    /// The kernel takes a hot plug event and has no memory to queue it.
    Drop,
    /// The worker begins with the first request in the queue.
    Start(Plan),
    /// The worker makes its next firmware call.
    Call,
    /// The worker is done; the module says so.
    Finish,
    /// The worker finds that a request before was dropped; the module says so.
    AnswerDropped,
    /// The guest sends its last report again.
    Repeat,
    /// The guest's administrator asks for a removal.
    AskInside(Device, Plan),
    /// The user withdraws a request.
    Withdraw(RequestId),
    /// The agent reads the oldest event of the log.
    Read,
    /// The agent begins with the event that it has read: a child does the work.
    BeginHanded(Plan),
    /// The agent reads on without having begun anything.
    Eat,
    /// The agent begins once more with the request that it has worked on last.
    BeginAgain(Plan),
    /// The agent dies, and a child of it lives on.
    KillAgent,
    /// The agent's child dies.
    KillChild,
    /// An agent starts.
    StartAgent,
    /// The guest's probes are switched off.
    ProbesOff,
    /// The module arms anew, and reads no tokens from then on.
    ArmWithoutTokens,
    /// The module is loaded.
    Load,
    /// The module is unloaded.
    Unload,
    /// The kernel panics and another takes over, without a reset.
    CrashKernel,
    /// The guest hangs.
    Hang,
    /// The machine is reset.
    Reset,
    /// The guest migrates, to the same kind of VMM, to one without reports, or back.
    Migrate(Input),
}

/// The number of actions that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// `device_del`.
    pub requests: u8,
    /// All actions that are not part of an ordinary removal, together.
    pub disturbances: u8,
    /// The disturbances that may not happen (again), one bit each.
    pub spent: u32,
}

impl Budget {
    fn bit(action: Action) -> Option<u32> {
        Some(match action {
            Action::Drop => 0,
            Action::AskInside(CPU, _) => 1,
            Action::AskInside(DIMM, _) => 2,
            Action::Load => 3,
            Action::Unload => 4,
            Action::CrashKernel => 5,
            Action::Hang => 6,
            Action::Reset => 7,
            Action::Migrate(Input::Migrate) => 8,
            Action::Migrate(Input::MigrateToLevel0) => 9,
            Action::Migrate(_) => 10,
            Action::Repeat => 11,
            Action::Withdraw(_) => 12,
            Action::ProbesOff => 13,
            Action::ArmWithoutTokens => 14,
            Action::Withhold(_) => 15,
            Action::KillAgent => 16,
            Action::KillChild => 17,
            Action::Eat => 18,
            Action::BeginAgain(_) => 19,
            Action::StartAgent => 20,
            _ => return None,
        })
    }

    /// Returns whether the action may still happen.
    pub fn allows(&self, action: Action) -> bool {
        Self::bit(action).is_none_or(|bit| self.disturbances > 0 && self.spent & (1 << bit) == 0)
    }

    /// Counts the action.
    pub(crate) fn spend(&mut self, action: Action) {
        if let Some(bit) = Self::bit(action) {
            self.disturbances -= 1;
            self.spent |= 1 << bit;
            if self.disturbances == 0 {
                // What has been spent no longer tells worlds apart.
                self.spent = 0;
            }
        }
        if matches!(action, Action::Ask(_) | Action::Withhold(_)) {
            self.requests -= 1;
        }
    }

    /// The budget of the full exploration.
    pub const FULL: Self = Self { requests: 3, disturbances: 3, spent: 0 };

    /// Returns the budget without a module to load, or another kind of VMM to migrate to.
    pub fn for_stock(self) -> Self {
        self.without(&[
            Action::Load,
            Action::Unload,
            Action::Withdraw(0),
            Action::Withhold(CPU),
            Action::ProbesOff,
            Action::ArmWithoutTokens,
            Action::Migrate(Input::MigrateToLevel1),
        ])
    }

    /// Returns the budget without these disturbances.
    pub fn without(mut self, actions: &[Action]) -> Self {
        for action in actions {
            self.spent |= Self::bit(*action).map_or(0, |bit| 1 << bit);
        }
        self
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ask(device) => write!(f, "the user asks for {device}"),
            Self::Withhold(device) => write!(f, "the user asks for {device}, which goes only with another device"),
            Self::Fetch => f.write_str("the guest queues the hot plug event"),
            Self::Drop => f.write_str("the guest drops the hot plug event, out of memory"),
            Self::Start(plan) => write!(f, "the guest begins: {plan}"),
            Self::Call => f.write_str("the guest goes on"),
            Self::Finish => f.write_str("the guest has finished"),
            Self::Repeat => f.write_str("the guest sends its last report again"),
            Self::AnswerDropped => f.write_str("the guest passes over what it dropped"),
            Self::AskInside(device, plan) => write!(f, "the guest's administrator asks for {device}: {plan}"),
            Self::Withdraw(request) => write!(f, "the user withdraws request {request}"),
            Self::Read => f.write_str("the agent reads an event"),
            Self::BeginHanded(plan) => write!(f, "the agent begins: {plan}"),
            Self::Eat => f.write_str("the agent reads on, and has begun nothing"),
            Self::BeginAgain(plan) => write!(f, "the agent begins once more: {plan}"),
            Self::KillAgent => f.write_str("the agent dies"),
            Self::KillChild => f.write_str("the agent's child dies"),
            Self::StartAgent => f.write_str("an agent starts"),
            Self::ProbesOff => f.write_str("the guest's probes are switched off"),
            Self::ArmWithoutTokens => f.write_str("the module arms anew, without tokens"),
            Self::Load => f.write_str("the module is loaded"),
            Self::Unload => f.write_str("the module is unloaded"),
            Self::CrashKernel => f.write_str("the guest panics, another kernel takes over"),
            Self::Hang => f.write_str("the guest hangs"),
            Self::Reset => f.write_str("the machine is reset"),
            Self::Migrate(Input::MigrateToLevel0) => f.write_str("the guest migrates to a VMM without reports"),
            Self::Migrate(Input::MigrateToLevel1) => f.write_str("the guest migrates to a VMM with reports"),
            Self::Migrate(_) => f.write_str("the guest migrates"),
        }
    }
}
