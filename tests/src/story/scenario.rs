// SPDX-License-Identifier: MIT OR Apache-2.0

//! The scenarios that the tests and the demonstration share: each is arranged, played, and relieved of its cause.

use crate::{
    device::{Device, dimm::TWO_LMBS},
    vm::Vm,
};
use anyhow::Result;
use serde::{Serialize, Serializer};
use std::fmt;

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The host asks for the last CPU that is online.
    CpuLastOnline,
    /// It asks for a DIMM of two LMBs, and the one that the guest tries first is busy.
    DimmFirstLmbBusy,
    /// It asks for a DIMM of two LMBs, and the one that the guest tries second is busy.
    DimmLaterLmbBusy,
    /// It asks for a DIMM that can go.
    DimmRemovable,
}

/// The device that a scenario is about, in place.
#[derive(Debug)]
pub struct Stage {
    id: String,
}

impl Device for Stage {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::CpuLastOnline, Self::DimmFirstLmbBusy, Self::DimmLaterLmbBusy, Self::DimmRemovable];

    /// What is asked for, for people.
    pub fn asked(self) -> &'static str {
        match self {
            Self::CpuLastOnline => "the last online CPU",
            Self::DimmFirstLmbBusy => "a DIMM whose first LMB is busy",
            Self::DimmLaterLmbBusy => "a DIMM whose later LMB is busy",
            Self::DimmRemovable => "a DIMM that can go",
        }
    }

    /// Brings the guest to where the host's request will meet it.
    pub fn arrange(self, vm: &mut Vm) -> Result<Stage> {
        if self == Self::CpuLastOnline {
            let cpu = vm.plug_cpu(1)?;
            vm.put_boot_cpu_offline()?;
            return Ok(Stage { id: cpu.id().to_owned() });
        }
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        if self == Self::DimmLaterLmbBusy {
            vm.put_first_lmb_offline(&dimm)?;
        }
        if self != Self::DimmRemovable {
            vm.veto_offlining()?;
        }
        Ok(Stage { id: dimm.id().to_owned() })
    }

    /// Takes away what the guest refused for.
    pub fn relieve(self, vm: &mut Vm) -> Result<()> {
        match self {
            Self::CpuLastOnline => vm.put_boot_cpu_online(),
            Self::DimmFirstLmbBusy | Self::DimmLaterLmbBusy => vm.allow_offlining(),
            Self::DimmRemovable => Ok(()),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CpuLastOnline => "cpu-last-online",
            Self::DimmFirstLmbBusy => "dimm-first-lmb-busy",
            Self::DimmLaterLmbBusy => "dimm-later-lmb-busy",
            Self::DimmRemovable => "dimm-removable",
        })
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
