// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scenarios of the tests and the demonstration: each arranges a cause of refusal, and can remove it.

use crate::{
    device::{Device, dimm::TWO_LMBS, pci::Function},
    vm::Vm,
};
use anyhow::Result;
use serde::{Serialize, Serializer};
use std::fmt;

/// Scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Request for the last CPU that is online.
    CpuLastOnline,
    /// Request for a DIMM of two LMBs of which the guest tries a busy one first.
    DimmFirstLmbBusy,
    /// Request for a DIMM of two LMBs of which the guest tries a busy one second.
    DimmLaterLmbBusy,
    /// Request for a DIMM that the guest can give back.
    DimmRemovable,
    /// Request for a network card, where no program of the guest handles such requests.
    CardWithoutAgent,
}

/// Device of a scenario.
#[derive(Debug)]
pub struct ScenarioDevice {
    id: String,
}

impl Device for ScenarioDevice {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Scenario {
    /// Scenarios of devices that the kernel removes itself.
    pub const ALL: [Self; 4] =
        [Self::CpuLastOnline, Self::DimmFirstLmbBusy, Self::DimmLaterLmbBusy, Self::DimmRemovable];

    /// Scenarios of the demonstration.
    pub const DEMONSTRATED: [Self; 5] = [
        Self::CpuLastOnline,
        Self::DimmFirstLmbBusy,
        Self::DimmLaterLmbBusy,
        Self::DimmRemovable,
        Self::CardWithoutAgent,
    ];

    /// Returns the description of the requested device.
    pub fn requested(self) -> &'static str {
        match self {
            Self::CpuLastOnline => "the last online CPU",
            Self::DimmFirstLmbBusy => "a DIMM whose first LMB is busy",
            Self::DimmLaterLmbBusy => "a DIMM whose later LMB is busy",
            Self::DimmRemovable => "a DIMM that can go",
            Self::CardWithoutAgent => "a network card, no rtas_errd",
        }
    }

    /// Adds the device and makes the guest refuse it, or not.
    pub fn arrange(self, vm: &mut Vm) -> Result<ScenarioDevice> {
        if self == Self::CpuLastOnline {
            let cpu = vm.plug_cpu(1)?;
            vm.put_boot_cpu_offline()?;
            return Ok(ScenarioDevice { id: cpu.id().to_owned() });
        }
        if self == Self::CardWithoutAgent {
            return Ok(ScenarioDevice { id: Self::card().id().to_owned() });
        }
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        if self == Self::DimmLaterLmbBusy {
            vm.put_first_lmb_offline(&dimm)?;
        }
        if self != Self::DimmRemovable {
            vm.veto_offlining()?;
        }
        Ok(ScenarioDevice { id: dimm.id().to_owned() })
    }

    /// Returns the network card of [`Self::CardWithoutAgent`], which a guest is started with.
    pub fn card() -> Function {
        Function::new(1)
    }

    /// Removes the cause of the refusal.
    pub fn relieve(self, vm: &mut Vm) -> Result<()> {
        match self {
            Self::CpuLastOnline => vm.put_boot_cpu_online(),
            Self::DimmFirstLmbBusy | Self::DimmLaterLmbBusy => vm.allow_offlining(),
            Self::DimmRemovable | Self::CardWithoutAgent => Ok(()),
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
            Self::CardWithoutAgent => "card-without-agent",
        })
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
