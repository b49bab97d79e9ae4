// SPDX-License-Identifier: GPL-2.0-only

//! The firmware of the guest: calls RTAS.

use crate::{
    logic::rtas::Rtas,
    shim,
    wire::{
        drc::DrcIndex,
        offer::Offer,
        rtas::{EntitySense, Indicator, Status},
    },
};

/// The RTAS of this machine. A call that it does not have fails like one that firmware rejects.
pub(crate) struct Firmware;

impl Firmware {
    /// Whether it knows DR connectors.
    pub(crate) fn knows_connectors() -> bool {
        // SAFETY: It only looks at what the kernel found at boot.
        unsafe { shim::papr_has_dr_connectors() }
    }
}

impl Firmware {
    /// The value of the property by which the hypervisor offers to take reports, as far as it is of interest; empty if
    /// there is none. Sleeps.
    pub(crate) fn offer(place: &mut [u8; Offer::SIZE]) -> &[u8] {
        // SAFETY: The name is a C string for ever, and there is room for as much as is said.
        let length = unsafe { shim::papr_rtas_property(Offer::PROPERTY.as_ptr(), place.as_mut_ptr().cast(), Offer::SIZE) };
        place.get(..length).unwrap_or_default()
    }
}

impl Rtas for Firmware {
    fn entity_sense(&self, connector: DrcIndex) -> Result<EntitySense, Status> {
        let mut state = 0;
        // SAFETY: RTAS judges the arguments itself, the kernel's lock around RTAS may be taken in any context but NMI, and
        // `state` is written before the call returns.
        match Status(unsafe { shim::papr_get_sensor_state(EntitySense::SENSOR, connector.0, &mut state) }) {
            Status::SUCCESS => Ok(EntitySense(state)),
            other => Err(other),
        }
    }

    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status {
        // SAFETY: RTAS judges the arguments itself, and the kernel's lock around RTAS may be taken in any context but NMI.
        Status(unsafe { shim::papr_set_indicator(indicator.0, connector.0, state) })
    }

    fn pause(&self, busy: Status) {
        // SAFETY: By the contract of the trait, this is not a probe, so it may sleep.
        unsafe { shim::papr_rtas_pause(busy.0) };
    }
}
