// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scenarios of the tests and the demonstration: each arranges a cause of refusal, and can remove it.

use crate::{
    device::{Device, dimm::TWO_LMBS, pci::Function},
    pairing::Pairing,
    removal::{Removal, Retry},
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
    /// Request for a network card, where the distribution's programs handle such requests.
    CardRemovable,
    /// Request for a disk that is mounted, in such a guest.
    DiskMounted,
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

    /// Scenarios of the demonstration with a distribution's programs. Guests with the module have our agent, too.
    pub const OF_DISTRIBUTION: [Self; 2] = [Self::CardRemovable, Self::DiskMounted];

    /// Returns the description of the requested device.
    pub fn requested(self) -> &'static str {
        match self {
            Self::CpuLastOnline => "the last online CPU",
            Self::DimmFirstLmbBusy => "a DIMM whose first LMB is busy",
            Self::DimmLaterLmbBusy => "a DIMM whose later LMB is busy",
            Self::DimmRemovable => "a DIMM that can go",
            Self::CardWithoutAgent => "a network card, no rtas_errd",
            Self::CardRemovable => "a network card that can go",
            Self::DiskMounted => "a disk that is mounted",
        }
    }

    /// Adds the device and makes the guest refuse it, or not.
    pub fn arrange(self, vm: &mut Vm) -> Result<ScenarioDevice> {
        if self == Self::CpuLastOnline {
            let cpu = vm.plug_cpu(1)?;
            vm.put_boot_cpu_offline()?;
            return Ok(ScenarioDevice { id: cpu.id().to_owned() });
        }
        if matches!(self, Self::CardWithoutAgent | Self::CardRemovable) {
            return Ok(ScenarioDevice { id: Self::card().id().to_owned() });
        }
        if self == Self::DiskMounted {
            vm.mount_disk()?;
            return Ok(ScenarioDevice { id: Self::disk().id().to_owned() });
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

    /// Returns the network card, which a guest is started with.
    pub fn card() -> Function {
        Function::new(1)
    }

    /// Returns the disk, which a guest with a distribution's programs is started with.
    pub fn disk() -> Function {
        Function::new(2)
    }

    /// Requests the device, and waits until the guest has ended its attempt.
    pub fn remove(self, vm: &mut Vm, device: &ScenarioDevice) -> Result<Removal> {
        match self {
            Self::CardWithoutAgent => vm.remove_kept(device),
            // Nothing is told.
            Self::DiskMounted if vm.pairing == Pairing::OURS_ON_STOCK => vm.remove_kept(device),
            Self::CardRemovable | Self::DiskMounted => vm.remove_pci(device),
            _ => vm.remove(device),
        }
    }

    /// Requests the device again, after [`Self::relieve`].
    pub fn retry(self, vm: &mut Vm, device: &ScenarioDevice) -> Result<Retry> {
        match self {
            // Nothing in the guest can give a card back. So the VMM's acceptance of the request is all that is shown.
            Self::CardWithoutAgent => vm.retry_kept(device),
            Self::CardRemovable | Self::DiskMounted => vm.retry_pci(device),
            _ => vm.retry(device),
        }
    }

    /// Removes the cause of the refusal.
    pub fn relieve(self, vm: &mut Vm) -> Result<()> {
        match self {
            Self::CpuLastOnline => vm.put_boot_cpu_online(),
            Self::DimmFirstLmbBusy | Self::DimmLaterLmbBusy => vm.allow_offlining(),
            Self::DiskMounted => vm.guest.sh("umount /mnt").map(drop),
            Self::DimmRemovable | Self::CardWithoutAgent | Self::CardRemovable => Ok(()),
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
            Self::CardRemovable => "card-removable",
            Self::DiskMounted => "disk-mounted",
        })
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
