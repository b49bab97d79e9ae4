// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls of the guest about DR connectors.

use crate::{
    handle::{PaprUnplug, enter},
    pointer,
};
use papr_unplug::{
    Change,
    drc::NOT_CONFIGURABLE,
    wire::{
        drc::DrcIndex,
        rtas::{EntitySense, Status},
    },
};

/// Change of the state of a connector, in LoPAR's numbers, see papr_unplug_state(). Both are 0 if the state stayed the
/// same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugChange {
    /// State before the call.
    pub from: u32,
    /// State after the call. If it is 3 or 7 (unisolated), the VMM begins its stream of ibm,configure-connector anew.
    pub to: u32,
}

impl From<Change> for PaprUnplugChange {
    fn from(change: Change) -> Self {
        Self { from: change.from.number().into(), to: change.to.number().into() }
    }
}

/// Handles a set-indicator call with these three input words. Returns the status of the call, and writes how it changed
/// the state of the connector.
///
/// Handles 9001 (isolation-state), 9003 (allocation-state) and the indicator that was offered. For 9002 (DR indicator)
/// the status only says whether the connector and the value exist; a VMM that shows the indicator keeps the value if
/// the status is 0. Every other indicator gets -3.
///
/// # Safety
/// `machine` and `change` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_set_indicator(
    machine: *mut PaprUnplug,
    indicator: u32,
    index: u32,
    value: u32,
    change: *mut PaprUnplugChange,
    size: usize,
) -> i32 {
    let set =
        |machine: &mut PaprUnplug| machine.tracker.set_indicator(&[indicator, index, value], &mut machine.effects);
    // SAFETY: by this function's contract.
    let answer = unsafe { enter(machine, set) }.unwrap_or(Status::HARDWARE.into());
    let changed = answer.change.map(PaprUnplugChange::from).unwrap_or_default();
    // SAFETY: by this function's contract.
    unsafe { pointer::tell_sized(change, size, &changed) };
    answer.status.0
}

/// Handles a get-sensor-state call with these two input words. Returns the status of the call, and writes the sensor's
/// state.
///
/// The only sensor is dr-entity-sense (9003). Its state is 0 for a physical connector without a device, 1 for a
/// connector with a device that the guest can use, 2 for a logical connector that is unusable; 0 if the status is not
/// 0.
///
/// # Safety
/// `machine` and `state` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_get_sensor_state(
    machine: *mut PaprUnplug,
    sensor: u32,
    index: u32,
    state: *mut u32,
) -> i32 {
    // SAFETY: by this function's contract.
    let answer = unsafe { enter(machine, |machine| machine.tracker.get_sensor_state(&[sensor, index])) };
    let (status, sense) = answer.unwrap_or((Status::HARDWARE, EntitySense::EMPTY));
    // SAFETY: by this function's contract.
    unsafe { pointer::tell(state, sense.0) };
    status.0
}

/// Handles an ibm,configure-connector call. Returns 0 if the VMM has to send the next piece of the device's node, else
/// the status of the call: -9003 if the connector cannot be configured, -3 if it does not exist.
///
/// `is_first` says that the stream is at its beginning. Only then can the call be a hint: Linux before 5.13 hints by
/// configuring an LMB that it has not given back.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_configure(machine: *mut PaprUnplug, index: u32, is_first: bool) -> i32 {
    let index = DrcIndex(index);
    let configure = |machine: &mut PaprUnplug| {
        let (tracker, effects) = (&mut machine.tracker, &mut machine.effects);
        if is_first {
            tracker.configure(index, effects)
        } else if tracker.is_configurable(index) {
            Status::SUCCESS
        } else if tracker.state(index).is_some() {
            NOT_CONFIGURABLE
        } else {
            Status::NO_SUCH_INDICATOR
        }
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, configure) }.unwrap_or(Status::HARDWARE).0
}

/// Ends a series of ibm,configure-connector calls: the last piece of the device's node was sent, and the connector is
/// configured. Returns 0, or the status that papr_unplug_configure() returns.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_configured(machine: *mut PaprUnplug, index: u32) -> i32 {
    // SAFETY: by this function's contract.
    let status = unsafe { enter(machine, |machine| machine.tracker.configured(DrcIndex(index))) };
    status.unwrap_or(Status::HARDWARE).0
}
