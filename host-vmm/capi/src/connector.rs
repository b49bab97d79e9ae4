// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which connectors there are, and what is behind them.

use crate::{
    error::Failure,
    machine::{Absent, PaprUnplug, enter},
};
use papr_unplug::{
    RequestError, Span, TopologyError,
    wire::{drc::DrcIndex, hotplug::Resource},
};
use std::ffi::c_int;

/// What a connector connects: LoPAR's resource types.
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

/// Consecutive connectors as a caller names them.
pub(crate) fn span(first: u32, count: u32) -> Result<Span, Failure> {
    Span::new(DrcIndex(first), count)
        .ok_or_else(|| Failure::argument("the number of connectors is 0, or their indexes do not fit 32 bits"))
}

/// Adds `count` connectors with consecutive DRC indexes from `first` on and nothing behind them, all or none.
///
/// `resource` is a PaprUnplugResource. Logical connectors (CPU, memory, PHB, persistent memory) are unusable, physical ones
/// (slot, PCI function) powered on and isolated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_add(machine: *mut PaprUnplug, resource: u32, first: u32, count: u32) -> c_int {
    let add = |machine: &mut PaprUnplug| {
        let result = span(first, count).and_then(|connectors| {
            let resource = u8::try_from(resource).map_err(|_| Failure::argument("there is no such resource"))?;
            let (tracker, _) = machine.act();
            tracker.add_connectors(Resource(resource), connectors)?;
            Ok(0)
        });
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, add) }.unwrap_or_else(Absent::code)
}

/// Removes connectors, all or none, as those of a PHB that goes.
///
/// A device that has one of them is taken away first as by papr_unplug_detach(), and deletions of such devices that were not
/// taken with papr_unplug_next_effect() are forgotten: the VMM takes these devices away by itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_remove(machine: *mut PaprUnplug, first: u32, count: u32) -> c_int {
    let remove = |machine: &mut PaprUnplug| {
        let result = span(first, count).and_then(|connectors| machine.remove(connectors));
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, remove) }.unwrap_or_else(Absent::code)
}

/// Puts a device behind connectors that have none. From here on the device is named by `first`.
///
/// `is_ready` says that the guest finds the device in the device tree that it boots with, or that it comes by migration;
/// otherwise the guest has yet to take it, and is sent a hot plug event about it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_attach(machine: *mut PaprUnplug, first: u32, count: u32, is_ready: bool) -> c_int {
    let attach = |machine: &mut PaprUnplug| {
        let result = span(first, count).and_then(|connectors| {
            let (tracker, _) = machine.act();
            tracker.plug(connectors)?;
            if is_ready {
                tracker.boot(connectors.first());
            }
            Ok(0)
        });
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, attach) }.unwrap_or_else(Absent::code)
}

/// Takes a device away without asking the guest, because plugging it failed or what it hangs on is gone. Its connectors stay,
/// empty. Requests about it end as released, which is told as effects; that it is deleted is not, for the VMM does it.
///
/// Not to be called for a device that PAPR_UNPLUG_EFFECT_KIND_DELETE says to delete: it is gone from here already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_detach(machine: *mut PaprUnplug, first: u32) -> c_int {
    let detach = |machine: &mut PaprUnplug| {
        let (tracker, effects) = machine.act();
        let is_gone = tracker.unplug(DrcIndex(first), effects);
        let result = if is_gone { Ok(0) } else { Err(RequestError::NoSuchDevice(DrcIndex(first)).into()) };
        machine.answer(result)
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, detach) }.unwrap_or_else(Absent::code)
}

/// The state of a connector, with LoPAR's number: 1 unusable, 2 available, 3 unisolated, 4 configured; physical 6 powered on,
/// 7 unisolated, 8 configured. 0 if there is no such connector.
///
/// A VMM that keeps a stream of ibm,configure-connector for each connector begins it anew when a set-indicator call takes the
/// connector from 2 to 3, or from 6 to 7.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_state(machine: *mut PaprUnplug, index: u32) -> u32 {
    // SAFETY: the contract at the top of the header.
    let state = unsafe { enter(machine, |machine| machine.look().state(DrcIndex(index))) };
    state.ok().flatten().map_or(0, |state| state.number().into())
}

impl PaprUnplug {
    fn remove(&mut self, connectors: Span) -> Result<c_int, Failure> {
        let (tracker, effects) = self.act();
        if let Some(missing) = connectors.indexes().find(|index| tracker.state(*index).is_none()) {
            return Err(TopologyError::NoSuchConnector(missing).into());
        }
        for index in connectors.indexes() {
            if let Some(device) = tracker.device(index) {
                tracker.unplug(device.connectors.first(), effects);
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
