// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest: a kernel that removes devices as Linux does, and a module that reports.

use crate::{
    machine::{CPU, CPU0, DIMM, Device, FUNCTION0, LMB0, LMB1, PerConnector, UNPLUG_STATUS},
    user_space::{Agent, UserSpace},
    vmm::RequestId,
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features},
    reason::Reason,
    report::{Errno, Report},
    token::Token,
};
use std::fmt;

/// The state of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guest {
    /// True if the guest runs; one that hangs or panics does nothing until it is reset.
    pub alive: bool,
    /// The module.
    pub module: Module,
    /// True if the probes fire by which the module observes the kernel.
    pub probes: bool,
    /// True if the device tree that this kernel booted with has the offer.
    pub offer: bool,
    /// True if a kernel before this one died with its promise standing.
    pub promise_orphaned: bool,
    /// The connectors whose resources the kernel holds.
    pub held: PerConnector,
    /// The connectors that were isolated and not configured since.
    pub isolated: PerConnector,
    /// Hot plug events that the platform has for the guest.
    pub events: Vec<Delivered>,
    /// The DLPAR work queue, in order.
    pub queue: Vec<Delivered>,
    /// The removal that the worker, or the child of an agent, attempts now.
    pub attempt: Option<Removal>,
    /// User space.
    pub user_space: UserSpace,
    /// The last report about a request that was taken, in case it is sent again.
    pub last: Option<(Report, DrcIndex)>,
}

/// The state of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Module {
    /// Not loaded.
    Absent,
    /// Loaded, and not armed: it gives the hints that the kernel does not.
    Level0,
    /// Loaded and armed.
    Armed,
}

/// A request on its way through the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivered {
    /// The request, which the guest does not know.
    pub request: RequestId,
    /// The device.
    pub device: Device,
    /// The token, as far as the module knows it.
    pub token: Token,
    /// True if the module saw the event.
    pub seen: bool,
    /// True if the kernel lost the request (no memory for the copy).
    pub dropped: bool,
}

/// A removal that is being attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Removal {
    /// The request; `None` for a removal that the guest's administrator began.
    pub entry: Option<Delivered>,
    /// The device.
    pub device: Device,
    /// The course that the removal takes.
    pub plan: Plan,
    /// The number of calls that are made.
    pub made: u8,
    /// True if the module saw the beginning, and all since.
    pub observed: bool,
    /// True if the kernel has given a hint.
    pub signalled: bool,
}

/// The course of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Everything is released.
    Release,
    /// The CPU is refused, or the DIMM's first LMB is.
    Refuse,
    /// The DIMM's second LMB is refused; the kernel takes the first back, and says so to the platform.
    RefuseSecond,
    /// The first LMB is released, the second, or the function, is not, and the guest takes that for a success.
    Half,
    /// The first LMB is released, the second is refused, and the kernel reconfigures it.
    HalfRefuse,
}

/// A firmware call that a removal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareCall {
    /// set-indicator isolation-state, ISOLATE.
    Isolate(DrcIndex),
    /// set-indicator isolation-state, UNISOLATE.
    Unisolate(DrcIndex),
    /// set-indicator allocation-state, UNUSABLE.
    SetUnusable(DrcIndex),
    /// `ibm,configure-connector`.
    Configure(DrcIndex),
}

impl Guest {
    /// Returns a guest that has just booted and holds these connectors.
    pub fn boot(offer: bool, held: PerConnector, agent: Agent) -> Self {
        Self {
            alive: true,
            module: Module::Absent,
            probes: true,
            offer,
            promise_orphaned: false,
            held,
            isolated: PerConnector::default(),
            events: Vec::new(),
            queue: Vec::new(),
            attempt: None,
            user_space: UserSpace::boot(agent),
            last: None,
        }
    }

    /// Returns whether nothing is left for it to do.
    pub fn is_idle(&self) -> bool {
        let is_kernel_idle = self.events.is_empty() && self.queue.is_empty() && self.attempt.is_none();
        self.alive && is_kernel_idle && self.user_space.is_idle()
    }
}

impl Plan {
    /// Returns what may happen to a removal of this device that the platform asked for.
    pub fn of_request(device: Device) -> &'static [Self] {
        match device {
            DIMM => &[Self::Release, Self::Refuse, Self::RefuseSecond, Self::Half, Self::HalfRefuse],
            FUNCTION0 => &[Self::Release, Self::Refuse, Self::Half],
            _ => &[Self::Release, Self::Refuse],
        }
    }

    /// Returns what may happen to a removal of this device that the guest's administrator asked for.
    pub fn of_guest(device: Device) -> &'static [Self] {
        match device {
            DIMM => &[Self::RefuseSecond, Self::Half],
            _ => &[Self::Release, Self::Refuse],
        }
    }

    /// Returns the connector that refuses, if one does.
    pub fn refusal(self, device: Device) -> Option<DrcIndex> {
        match (self, device) {
            (Self::Release | Self::Half, _) => None,
            (Self::RefuseSecond | Self::HalfRefuse, DIMM) => Some(LMB1),
            _ => Some(device.first),
        }
    }

    /// Returns the calls that the kernel makes, in order.
    pub fn calls(self, device: Device) -> &'static [FirmwareCall] {
        use FirmwareCall::{Configure, Isolate, SetUnusable, Unisolate};
        match (self, device) {
            (Self::Release, CPU) => &[Isolate(CPU0), SetUnusable(CPU0)],
            (Self::Release, FUNCTION0) => &[Isolate(FUNCTION0.first)],
            (Self::Release, DIMM) => &[Isolate(LMB0), SetUnusable(LMB0), Isolate(LMB1), SetUnusable(LMB1)],
            (Self::RefuseSecond, DIMM) => &[Unisolate(LMB0), Configure(LMB0)],
            (Self::Half, DIMM) => &[Isolate(LMB0), SetUnusable(LMB0)],
            (Self::HalfRefuse, DIMM) => &[Isolate(LMB0), SetUnusable(LMB0), Configure(LMB1)],
            (_, CPU) => &[Unisolate(CPU0)],
            _ => &[],
        }
    }
}

impl FirmwareCall {
    /// Returns the connector that it is about.
    pub fn connector(self) -> DrcIndex {
        match self {
            Self::Isolate(connector)
            | Self::Unisolate(connector)
            | Self::SetUnusable(connector)
            | Self::Configure(connector) => connector,
        }
    }
}

/// Returns the report of a refusal, with a reason that fits the device.
pub fn refused(token: Token, connector: DrcIndex, dropped: bool) -> Report {
    let (reason, errno) = match (dropped, connector) {
        (true, _) => (Reason::DROPPED, Errno(12)),
        (false, CPU0) => (Reason::LAST_CPU, Errno(16)),
        (false, connector) if connector == FUNCTION0.first => (Reason::AGENT_FAILED, Errno(255)),
        (false, _) => (Reason::UNMOVABLE_PAGE, Errno(16)),
    };
    Report::Refused { token, reason, errno }
}

/// Returns the report that arms every class that is explored.
pub fn arm(features: Features) -> Report {
    Report::Arm { classes: Classes::CPU | Classes::MEMORY | Classes::PCI, features }
}

/// Returns a report as an input of the VMM.
pub fn sent(report: Report, connector: Option<DrcIndex>) -> crate::vmm::Input {
    let index = connector.unwrap_or(DrcIndex(0));
    crate::vmm::Input::SetIndicator(UNPLUG_STATUS, index, report.word().0)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Release => "all will be released",
            Self::Refuse => "the first connector will refuse",
            Self::RefuseSecond => "the second LMB will refuse, the first goes back",
            Self::Half => "not all will be released, and the guest will not notice",
            Self::HalfRefuse => "the first LMB will be released, the second will refuse",
        })
    }
}
