// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connectors of a machine, and the devices behind them.

use crate::{
    error::Failure,
    handle::{Absent, PaprUnplug, enter},
};
use papr_unplug::{
    RequestError, Span, TopologyError,
    wire::{drc::DrcIndex, hotplug::Resource},
};
use std::ffi::c_int;

/// LoPAR's resource types, of which a connector connects one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum PaprUnplugResource {
    /// A processor core.
    Cpu = 1,
    /// A logical memory block (LMB).
    Memory = 2,
    /// A PCI slot.
    Slot = 3,
    /// A PCI host bridge.
    Phb = 4,
    /// A PCI function.
    Pci = 5,
    /// Persistent memory.
    Pmem = 6,
}

/// Returns the consecutive connectors that a caller names.
pub(crate) fn span(first: u32, count: u32) -> Result<Span, Failure> {
    Span::new(DrcIndex(first), count)
        .ok_or_else(|| Failure::argument("the number of connectors is 0, or their indexes do not fit 32 bits"))
}

/// Adds `count` connectors with consecutive DRC indexes from `first` on, without a device, all or none.
///
/// `resource` is a PaprUnplugResource. Logical connectors (CPU, memory, PHB, persistent memory) are unusable, physical
/// ones (slot, PCI function) powered on and isolated. A machine takes at most 2097152 connectors.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_add(machine: *mut PaprUnplug, resource: u32, first: u32, count: u32) -> c_int {
    let add = |machine: &mut PaprUnplug| {
        let result = span(first, count).and_then(|connectors| {
            let resource = u8::try_from(resource).map_err(|_| Failure::argument("there is no such resource"))?;
            machine.tracker.add_connectors(Resource(resource), connectors)?;
            Ok(0)
        });
        machine.answer(result)
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, add) }.unwrap_or_else(Absent::code)
}

/// Removes connectors, all or none, such as those of a PHB that the guest has given back.
///
/// A device that has one of them goes with what they belong to: requests about it end as PAPR_UNPLUG_END_RELEASED.
/// Deletions of such devices that were not taken with papr_unplug_next_effect() are dropped: the VMM deletes these
/// devices by itself.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_remove(machine: *mut PaprUnplug, first: u32, count: u32) -> c_int {
    let remove = |machine: &mut PaprUnplug| {
        let result = span(first, count).and_then(|connectors| machine.remove(connectors));
        machine.answer(result)
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, remove) }.unwrap_or_else(Absent::code)
}

/// Attaches a device to connectors that have none. From here on `first` names the device.
///
/// `is_ready` says that the guest finds the device in the device tree that it boots with, or that the device comes by
/// migration. Otherwise the guest has not taken the device yet, and the VMM sends it a hot plug event.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_attach(machine: *mut PaprUnplug, first: u32, count: u32, is_ready: bool) -> c_int {
    let attach = |machine: &mut PaprUnplug| {
        let result = span(first, count).and_then(|connectors| {
            machine.tracker.plug(connectors)?;
            if is_ready {
                machine.tracker.boot(connectors.first());
            }
            Ok(0)
        });
        machine.answer(result)
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, attach) }.unwrap_or_else(Absent::code)
}

/// Detaches a device without asking the guest, because plugging it failed. Its connectors stay, without a device.
/// Requests about it end as PAPR_UNPLUG_END_REMOVED. No deletion is told, because the VMM deletes the
/// device by itself.
///
/// Not for a device that PAPR_UNPLUG_EFFECT_KIND_DELETE says to delete: the library has forgotten it already.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_detach(machine: *mut PaprUnplug, first: u32) -> c_int {
    let detach = |machine: &mut PaprUnplug| {
        let is_gone = machine.tracker.unplug(DrcIndex(first), &mut machine.effects);
        let result = if is_gone { Ok(0) } else { Err(RequestError::NoSuchDevice(DrcIndex(first)).into()) };
        machine.answer(result)
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, detach) }.unwrap_or_else(Absent::code)
}

/// Returns the state of a connector, with LoPAR's number: 1 unusable, 2 available, 3 unisolated, 4 configured; physical
/// 6 powered on, 7 unisolated, 8 configured. Returns 0 if there is no such connector.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_state(machine: *mut PaprUnplug, index: u32) -> u32 {
    // SAFETY: by this function's contract.
    let state = unsafe { enter(machine, |machine| machine.tracker.state(DrcIndex(index))) };
    state.ok().flatten().map_or(0, |state| state.number().into())
}

impl PaprUnplug {
    fn remove(&mut self, connectors: Span) -> Result<c_int, Failure> {
        let (tracker, effects) = (&mut self.tracker, &mut self.effects);
        if let Some(missing) = connectors.indexes().find(|index| tracker.state(*index).is_none()) {
            return Err(TopologyError::NoSuchConnector(missing).into());
        }
        for index in connectors.indexes() {
            if let Some(device) = tracker.device(index) {
                tracker.unplug_released(device.connectors.first(), effects);
            }
        }
        tracker.remove_connectors(connectors)?;
        effects.keep_devices_at(connectors);
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_lopars() {
        use PaprUnplugResource as Ours;
        let ours = [Ours::Cpu, Ours::Memory, Ours::Slot, Ours::Phb, Ours::Pci, Ours::Pmem];
        let theirs = [Resource::CPU, Resource::MEMORY, Resource::SLOT, Resource::PHB, Resource::PCI, Resource::PMEM];
        assert_eq!(ours.map(|resource| Resource(resource as u8)), theirs);
    }
}
