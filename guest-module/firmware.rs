// SPDX-License-Identifier: GPL-2.0-only

//! RTAS of this machine.

use crate::{
    bindings,
    logic::rtas::Rtas,
    wire::{
        drc::DrcIndex,
        offer::Offer,
        rtas::{EntitySense, Indicator, Status},
    },
};

/// The RTAS of this machine. A call that it does not have fails like one that firmware rejects.
pub(crate) struct Firmware;

impl Firmware {
    /// Returns whether RTAS has the calls for DR connectors.
    pub(crate) fn knows_connectors() -> bool {
        // SAFETY: The function only reads what the kernel found at boot.
        unsafe { bindings::papr_has_dr_connectors() }
    }

    /// Reads the property with the hypervisor's offer into `buffer`. Returns what was read, which
    /// is empty if there is no such property. Sleeps.
    pub(crate) fn offer(buffer: &mut [u8; Offer::SIZE]) -> &[u8] {
        let (to, size) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: The name is a static C string, and the buffer has this size.
        let length = unsafe { bindings::papr_rtas_property(Offer::PROPERTY.as_ptr(), to, size) };
        buffer.get(..length).unwrap_or_default()
    }

    /// Sleeps for as long as a busy status asks. Not for probes.
    pub(crate) fn pause(busy: Status) {
        // SAFETY: By the contract of this function, the caller may sleep.
        unsafe { bindings::papr_rtas_pause(busy.0) };
    }
}

impl Rtas for Firmware {
    fn entity_sense(&self, connector: DrcIndex) -> Result<EntitySense, Status> {
        let mut state = 0;
        let sensor = EntitySense::SENSOR;
        // SAFETY: RTAS checks the arguments, the kernel's lock around RTAS may be taken in any
        // context but NMI, and `state` is written before the call returns.
        let status = unsafe { bindings::papr_get_sensor_state(sensor, connector.0, &mut state) };
        match Status(status) {
            Status::SUCCESS => Ok(EntitySense(state)),
            other => Err(other),
        }
    }

    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status {
        // SAFETY: RTAS checks the arguments, and the kernel's lock around RTAS may be taken in any
        // context but NMI.
        Status(unsafe { bindings::papr_set_indicator(indicator.0, connector.0, state) })
    }
}
