// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the guest does: the RTAS calls about DR connectors.

use crate::{
    machine::{PaprUnplug, enter},
    pointer,
};
use papr_unplug::{
    drc::NOT_CONFIGURABLE,
    wire::{
        drc::DrcIndex,
        rtas::{EntitySense, Status},
    },
};

/// The guest calls set-indicator with these three input words. Returns the call's status.
///
/// It takes 9001 (isolation-state), 9003 (allocation-state) and the indicator that was offered. Of 9002 (DR indicator) it only
/// says whether there is such a connector and such a value: the VMM that shows it keeps it when the status is 0. Every other
/// indicator gets -3.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_set_indicator(
    machine: *mut PaprUnplug,
    indicator: u32,
    index: u32,
    value: u32,
) -> i32 {
    let set = |machine: &mut PaprUnplug| {
        let (tracker, effects) = machine.act();
        tracker.set_indicator(&[indicator, index, value], effects).status
    };
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, set) }.unwrap_or(Status::HARDWARE).0
}

/// The guest calls get-sensor-state with these two input words. Returns the call's status, and writes the sensor's state.
///
/// There is one sensor, dr-entity-sense (9003). Its state is 0 where a physical connector is empty, 1 where there is
/// something for the guest, 2 where a logical connector is unusable; 0 if the status is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_get_sensor_state(
    machine: *mut PaprUnplug,
    sensor: u32,
    index: u32,
    state: *mut u32,
) -> i32 {
    // SAFETY: the contract at the top of the header.
    let answer = unsafe { enter(machine, |machine| machine.act().0.get_sensor_state(&[sensor, index])) };
    let (status, sense) = answer.unwrap_or((Status::HARDWARE, EntitySense::EMPTY));
    // SAFETY: the contract at the top of the header.
    unsafe { pointer::tell(state, sense.0) };
    status.0
}

/// The guest calls ibm,configure-connector. Returns 0 if the VMM is to go on and send the next piece of the device's node, else
/// the call's status: -9003 if the connector cannot be configured, -3 if there is none.
///
/// `is_first` says that the stream stands at its beginning. Only then can the call be a hint: Linux before 5.13 gives a refusal
/// away by configuring an LMB that it has never given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_configure(machine: *mut PaprUnplug, index: u32, is_first: bool) -> i32 {
    let index = DrcIndex(index);
    let configure = |machine: &mut PaprUnplug| {
        let (tracker, effects) = machine.act();
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
    // SAFETY: the contract at the top of the header.
    unsafe { enter(machine, configure) }.unwrap_or(Status::HARDWARE).0
}

/// The last piece of the device's node was sent: the guest has configured the connector. Returns 0, or what
/// papr_unplug_configure() would.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_configured(machine: *mut PaprUnplug, index: u32) -> i32 {
    // SAFETY: the contract at the top of the header.
    let status = unsafe { enter(machine, |machine| machine.act().0.configured(DrcIndex(index))) };
    status.unwrap_or(Status::HARDWARE).0
}
