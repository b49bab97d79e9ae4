// SPDX-License-Identifier: GPL-2.0-only

//! Refusal of a removal, as the kernel log and debugfs show it.

use super::cause::Location;
use crate::wire::{drc::DrcIndex, hotplug::Resource, reason::Reason, rtas::Status, token::Token};
use core::fmt;

/// A removal that the hypervisor requested and the guest refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The type of resource that was requested.
    pub resource: Resource,
    /// The connector that the request names, if it names one.
    pub connector: Option<DrcIndex>,
    /// The LMB that could not be given up, if one was seen.
    pub lmb: Option<DrcIndex>,
    /// The reason.
    pub reason: Reason,
    /// The error, a negative errno.
    pub errno: i32,
    /// The place where the cause was found, below the connector.
    pub location: Location,
    /// The token of the request.
    pub token: Token,
    /// The delivery to the hypervisor.
    pub delivery: Delivery,
}

/// Delivery of a refusal to the hypervisor, or the cause that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The module has not told it yet.
    Pending,
    /// The kernel sent a hint.
    ByKernel,
    /// The module sent a hint.
    ByModule,
    /// The module sent a report.
    Reported,
    /// The request had ended when the module sent its report: an agent in user space had told why,
    /// or the hypervisor had withdrawn it.
    Before,
    /// There was no refusal: the guest had given the resource back, unseen.
    Released,
    /// No hint was sent, because no connector is known for it.
    Unnamed,
    /// No hint was sent, because the connector does not belong to the guest: no null transition is
    /// possible there.
    Absent,
    /// The hint failed with this RTAS status.
    Failed(Status),
}

impl Refusal {
    /// A refusal of nothing, which fills unused room.
    pub const EMPTY: Self = Self {
        resource: Resource(0),
        connector: None,
        lmb: None,
        reason: Reason::UNATTRIBUTED,
        errno: 0,
        location: Location::Unknown,
        token: Token::NONE,
        delivery: Delivery::Pending,
    };
}

impl Delivery {
    /// Returns the word for `told=` in debugfs.
    pub fn word(self) -> &'static str {
        match self {
            Self::ByKernel => "kernel",
            Self::ByModule => "module",
            Self::Reported => "report",
            Self::Before => "before",
            Self::Pending => "pending",
            Self::Released | Self::Unnamed | Self::Absent | Self::Failed(_) => "none",
        }
    }
}

/// The line of the kernel log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.resource)?;
        if let Some(connector) = self.connector {
            write!(f, " {connector}")?;
        }
        if let Some(lmb) = self.lmb {
            write!(f, ", LMB {lmb}")?;
        }
        write!(f, ", {}{}, ", self.reason, self.location)?;
        match self.status() {
            Some(status) => write!(f, "exit status {status}; ")?,
            None => write!(f, "error {}; ", self.errno)?,
        }
        match self.delivery {
            Delivery::ByKernel => f.write_str("the kernel told the hypervisor"),
            Delivery::ByModule => f.write_str("the hypervisor was told"),
            Delivery::Reported => f.write_str("reported to the hypervisor"),
            Delivery::Before => f.write_str("the request had ended before"),
            Delivery::Pending => f.write_str("firmware is busy, the hypervisor will be told"),
            Delivery::Released => f.write_str("it was given back after all"),
            Delivery::Unnamed => {
                f.write_str("the hypervisor cannot be told, no whole device can be named")
            }
            Delivery::Absent => {
                f.write_str("the hypervisor cannot be told, its connector is not this guest's")
            }
            Delivery::Failed(status) => {
                write!(f, "the hypervisor was not told, RTAS status {status}")
            }
        }
    }
}

impl Refusal {
    /// Returns the exit status of an agent that failed, which stands where other refusals have an
    /// error.
    fn status(&self) -> Option<i32> {
        (self.reason == Reason::AGENT_FAILED).then(|| self.errno.wrapping_neg())
    }

    /// Writes a line of the debugfs file `refusals`, as `name=value` members.
    pub fn write_members(&self, f: &mut impl fmt::Write) -> fmt::Result {
        write!(f, "resource={}", self.resource)?;
        if let Some(connector) = self.connector {
            write!(f, " connector={connector}")?;
        }
        if let Some(lmb) = self.lmb {
            write!(f, " lmb={lmb}")?;
        }
        write!(f, " reason={}", self.reason)?;
        match self.status() {
            Some(status) => write!(f, " status={status}")?,
            None => write!(f, " errno={}", self.errno)?,
        }
        match self.location {
            Location::Unknown => {}
            Location::Address(address) => write!(f, " address={address:#x}")?,
            Location::CpuState(state) => write!(f, " state={state}")?,
        }
        if self.token.is_some() {
            write!(f, " token={}", self.token)?;
        }
        write!(f, " told={}", self.delivery.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString};

    const DIMM: Refusal = Refusal {
        resource: Resource::MEMORY,
        connector: Some(DrcIndex(0x8000_0008)),
        lmb: Some(DrcIndex(0x8000_0009)),
        reason: Reason::UNMOVABLE_PAGE,
        errno: -16,
        location: Location::Address(0x9_0000_0000),
        token: Token(7),
        delivery: Delivery::Reported,
    };

    struct Members(Refusal);

    impl fmt::Display for Members {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write_members(f)
        }
    }

    #[test]
    fn log_line_names_the_connector_the_lmb_the_error_and_who_told() {
        assert_eq!(
            DIMM.to_string(),
            "refused: memory 0x80000008, LMB 0x80000009, unmovable-page at address 0x900000000, \
             error -16; reported to the hypervisor"
        );
        let cpu = Refusal {
            resource: Resource::CPU,
            connector: Some(DrcIndex(0x1000_0001)),
            lmb: None,
            reason: Reason::CPU_VETO,
            errno: -22,
            location: Location::CpuState(150),
            token: Token::NONE,
            delivery: Delivery::ByKernel,
        };
        assert_eq!(
            cpu.to_string(),
            "refused: cpu 0x10000001, cpu-veto in hotplug state 150, error -22; the kernel told \
             the hypervisor"
        );
    }

    #[test]
    fn members_leave_out_what_is_unknown() {
        assert_eq!(
            Members(DIMM).to_string(),
            "resource=memory connector=0x80000008 lmb=0x80000009 reason=unmovable-page errno=-16 \
             address=0x900000000 token=0x0007 told=report"
        );
        let counted = Refusal {
            connector: None,
            lmb: None,
            reason: Reason::UNATTRIBUTED,
            location: Location::Unknown,
            token: Token::NONE,
            delivery: Delivery::Unnamed,
            ..DIMM
        };
        assert_eq!(
            Members(counted).to_string(),
            "resource=memory reason=unattributed errno=-16 told=none"
        );
    }

    #[test]
    fn agent_that_failed_has_a_status_and_no_error() {
        let failed = Refusal {
            resource: Resource::PCI,
            lmb: None,
            reason: Reason::AGENT_FAILED,
            errno: -137,
            location: Location::Unknown,
            delivery: Delivery::Before,
            ..DIMM
        };
        assert_eq!(
            failed.to_string(),
            "refused: pci 0x80000008, agent-failed, exit status 137; the request had ended before"
        );
        assert!(Members(failed).to_string().ends_with("status=137 token=0x0007 told=before"));
    }

    #[test]
    fn unknown_resource_is_one_word_among_the_members() {
        let odd = Refusal { resource: Resource(0x42), ..DIMM };
        assert!(format!("{}", Members(odd)).starts_with("resource=resource-0x42 connector="));
    }
}
