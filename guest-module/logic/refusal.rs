// SPDX-License-Identifier: GPL-2.0-only

//! One refusal, as people and the journal know it.

use crate::wire::{drc::DrcIndex, hotplug::Resource, rtas::Status};
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
    /// Why: a negative errno.
    pub errno: i32,
    /// Whether the hypervisor knows.
    pub told: Told,
}

/// Whether, and by whom, the hypervisor was told of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The kernel signalled it by itself.
    ByKernel,
    /// This module did.
    ByModule,
    /// This module will, on this connector: firmware was busy.
    Pending(DrcIndex),
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
            Self::Pending(_) => "pending",
            Self::Unnamed | Self::Absent | Self::Failed(_) => "none",
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
        write!(f, ", error {}; ", self.errno)?;
        match self.told {
            Told::ByKernel => f.write_str("the kernel told the hypervisor"),
            Told::ByModule => f.write_str("the hypervisor was told"),
            Told::Pending(_) => f.write_str("firmware is busy, the hypervisor will be told"),
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
        write!(f, " errno={} told={}", self.errno, self.told.word())
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
        errno: -16,
        told: Told::ByModule,
    };

    struct Members(Refusal);

    impl fmt::Display for Members {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write_members(f)
        }
    }

    #[test]
    fn log_line_names_the_connector_the_lmb_the_error_and_who_told() {
        assert_eq!(DIMM.to_string(), "refused: memory 0x80000008, LMB 0x80000009, error -16; the hypervisor was told");
        let cpu = Refusal {
            resource: Resource::CPU,
            connector: Some(DrcIndex(0x1000_0001)),
            lmb: None,
            errno: -22,
            told: Told::ByKernel,
        };
        assert_eq!(cpu.to_string(), "refused: cpu 0x10000001, error -22; the kernel told the hypervisor");
    }

    #[test]
    fn members_leave_out_what_is_unknown() {
        assert_eq!(
            Members(DIMM).to_string(),
            "resource=memory connector=0x80000008 lmb=0x80000009 errno=-16 told=module"
        );
        let counted = Refusal { connector: None, lmb: None, told: Told::Unnamed, ..DIMM };
        assert_eq!(Members(counted).to_string(), "resource=memory errno=-16 told=none");
    }

    #[test]
    fn unknown_resource_is_one_word_among_the_members() {
        let odd = Refusal { resource: Resource(0x42), ..DIMM };
        assert!(format!("{}", Members(odd)).starts_with("resource=resource-0x42 connector="));
    }
}
