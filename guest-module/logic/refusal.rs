// SPDX-License-Identifier: GPL-2.0-only

//! One refusal, as people and the journal know it.

use super::cause::Place;
use crate::wire::{drc::DrcIndex, hotplug::Resource, reason::Reason, rtas::Status, token::Token};
use core::fmt;

/// A removal that the hypervisor asked for and the guest refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of resource the hypervisor asked for.
    pub resource: Resource,
    /// The connector it named, if it named one.
    pub connector: Option<DrcIndex>,
    /// The LMB that could not be given up, if one was seen.
    pub lmb: Option<DrcIndex>,
    /// Why.
    pub reason: Reason,
    /// And the error: a negative errno.
    pub errno: i32,
    /// Where, below the connector.
    pub place: Place,
    /// The token of the request.
    pub token: Token,
    /// Whether the hypervisor knows.
    pub told: Told,
}

/// Whether, and by whom, the hypervisor was told of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The kernel signalled it by itself.
    ByKernel,
    /// This module signalled it.
    ByModule,
    /// This module reported it.
    Reported,
    /// This module will tell: firmware was busy.
    Pending,
    /// Nobody could: no connector can be named for it.
    Unnamed,
    /// Nobody could: the connector is not the guest's, so that no null transition can be made on it.
    Absent,
    /// Nobody could: firmware answered the signal with this.
    Failed(Status),
}

impl Told {
    /// The word for it in debugfs.
    pub fn word(self) -> &'static str {
        match self {
            Self::ByKernel => "kernel",
            Self::ByModule => "module",
            Self::Reported => "report",
            Self::Pending => "pending",
            Self::Unnamed | Self::Absent | Self::Failed(_) => "none",
        }
    }

    /// Which in bits 0 to 31, the status that belongs to it in 32 to 63.
    pub fn bits(self) -> u64 {
        let (which, with) = match self {
            Self::ByKernel => (0, 0),
            Self::ByModule => (1, 0),
            Self::Pending => (2, 0),
            Self::Failed(status) => (3, status.0 as u32),
            Self::Unnamed => (4, 0),
            Self::Absent => (5, 0),
            Self::Reported => (6, 0),
        };
        u64::from(with) << 32 | which
    }

    /// What has these bits.
    pub fn of_bits(bits: u64) -> Self {
        match bits as u32 {
            0 => Self::ByKernel,
            1 => Self::ByModule,
            2 => Self::Pending,
            3 => Self::Failed(Status((bits >> 32) as i32)),
            4 => Self::Unnamed,
            6 => Self::Reported,
            _ => Self::Absent,
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
        write!(f, ", {}{}, error {}; ", self.reason, self.place, self.errno)?;
        match self.told {
            Told::ByKernel => f.write_str("the kernel told the hypervisor"),
            Told::ByModule => f.write_str("the hypervisor was told"),
            Told::Reported => f.write_str("reported to the hypervisor"),
            Told::Pending => f.write_str("firmware is busy, the hypervisor will be told"),
            Told::Unnamed => f.write_str("the hypervisor cannot be told, no whole device can be named"),
            Told::Absent => f.write_str("the hypervisor cannot be told, its connector is not this guest's"),
            Told::Failed(status) => write!(f, "the hypervisor was not told, RTAS status {status}"),
        }
    }
}

impl Refusal {
    /// Writes the members of a line of the `refusals` file of debugfs, as `name=value`.
    pub fn write_members(&self, f: &mut impl fmt::Write) -> fmt::Result {
        write!(f, "resource={}", self.resource)?;
        if let Some(connector) = self.connector {
            write!(f, " connector={connector}")?;
        }
        if let Some(lmb) = self.lmb {
            write!(f, " lmb={lmb}")?;
        }
        write!(f, " reason={} errno={}", self.reason, self.errno)?;
        match self.place {
            Place::Unknown => {}
            Place::Address(address) => write!(f, " address={address:#x}")?,
            Place::CpuState(state) => write!(f, " state={state}")?,
        }
        if self.token.is_some() {
            write!(f, " token={}", self.token)?;
        }
        write!(f, " told={}", self.told.word())
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
        place: Place::Address(0x9_0000_0000),
        token: Token(7),
        told: Told::Reported,
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
            "refused: memory 0x80000008, LMB 0x80000009, unmovable-page at address 0x900000000, error -16; reported to the \
             hypervisor"
        );
        let cpu = Refusal {
            resource: Resource::CPU,
            connector: Some(DrcIndex(0x1000_0001)),
            lmb: None,
            reason: Reason::CPU_VETO,
            errno: -22,
            place: Place::CpuState(150),
            token: Token::NONE,
            told: Told::ByKernel,
        };
        assert_eq!(
            cpu.to_string(),
            "refused: cpu 0x10000001, cpu-veto in hotplug state 150, error -22; the kernel told the hypervisor"
        );
    }

    #[test]
    fn members_leave_out_what_is_unknown() {
        assert_eq!(
            Members(DIMM).to_string(),
            "resource=memory connector=0x80000008 lmb=0x80000009 reason=unmovable-page errno=-16 address=0x900000000 \
             token=0x0007 told=report"
        );
        let counted = Refusal {
            connector: None,
            lmb: None,
            reason: Reason::UNATTRIBUTED,
            place: Place::Unknown,
            token: Token::NONE,
            told: Told::Unnamed,
            ..DIMM
        };
        assert_eq!(Members(counted).to_string(), "resource=memory reason=unattributed errno=-16 told=none");
    }

    #[test]
    fn unknown_resource_is_one_word_among_the_members() {
        let odd = Refusal { resource: Resource(0x42), ..DIMM };
        assert!(format!("{}", Members(odd)).starts_with("resource=resource-0x42 connector="));
    }
}
