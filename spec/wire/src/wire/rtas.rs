// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls of DR connectors: the indicators and states of `set-indicator`, the sensor, and the statuses.

use core::{fmt, ops::RangeInclusive};

/// An indicator of `set-indicator` (its first argument; LoPAR, "set-indicator").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Indicator(pub u32);

impl Indicator {
    /// The numbers that LoPAR leaves to platform vendors ("set-indicator", table "Defined Indicators").
    pub const VENDOR: RangeInclusive<u32> = 9100..=9999;

    /// isolation-state: cuts the connector's resource off from the guest.
    pub const ISOLATION_STATE: Self = Self(9001);
    /// allocation-state: assigns the connector's resource to the guest.
    pub const ALLOCATION_STATE: Self = Self(9003);
}

/// The state of [`Indicator::ISOLATION_STATE`] (the third argument).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolationState(pub u32);

impl IsolationState {
    /// The guest gives the resource up.
    pub const ISOLATE: Self = Self(0);
    /// The guest takes, or keeps, the resource. On a connector that is unisolated already this is a null transition,
    /// which always succeeds; QEMU reads it as a refusal of the unplug that is pending there.
    pub const UNISOLATE: Self = Self(1);
}

/// A state of the sensor dr-entity-sense, as `get-sensor-state` returns it (LoPAR, "get-sensor-state").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntitySense(pub u32);

impl EntitySense {
    /// The number of the sensor.
    pub const SENSOR: u32 = 9003;

    /// The connector is empty.
    pub const EMPTY: Self = Self(0);
    /// The connector's resource is the guest's.
    pub const PRESENT: Self = Self(1);
    /// The resource of a logical connector is not the guest's.
    pub const UNUSABLE: Self = Self(2);
}

/// A status of an RTAS call (its first output word).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// Done; a report was recorded.
    pub const SUCCESS: Self = Self(0);
    /// The report was understood and changes nothing: its request has ended, or was never open.
    pub const ALREADY: Self = Self(9000);
    /// A hardware error.
    pub const HARDWARE: Self = Self(-1);
    /// Not done, call again.
    pub const BUSY: Self = Self(-2);
    /// No such indicator: the hypervisor takes no reports (or, from other indicators, a bad parameter).
    pub const NO_SUCH_INDICATOR: Self = Self(-3);
    /// The report word has no meaning to the hypervisor.
    pub const MALFORMED: Self = Self(-9005);
    /// The class of the connector is not armed.
    pub const NOT_ARMED: Self = Self(-9006);
    /// ARM names a class or a feature that the hypervisor does not offer.
    pub const NOT_OFFERED: Self = Self(-9007);
    /// The index is not that of a connector, or not one of the device that the request is about.
    pub const WRONG_CONNECTOR: Self = Self(-9008);

    /// Returns whether the call is done: 0, or a vendor's success (9000 to 9899).
    pub fn is_success(self) -> bool {
        matches!(self.0, 0 | 9000..=9899)
    }

    /// Returns whether the same call has to be made again, now (-2) or after a while (9900 to 9905).
    pub fn is_busy(self) -> bool {
        matches!(self.0, -2 | 9900..=9905)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_lopar() {
        assert_eq!([Indicator::ISOLATION_STATE, Indicator::ALLOCATION_STATE].map(|i| i.0), [9001, 9003]);
        assert_eq!([IsolationState::ISOLATE, IsolationState::UNISOLATE].map(|s| s.0), [0, 1]);
        assert_eq!([EntitySense::EMPTY, EntitySense::PRESENT, EntitySense::UNUSABLE].map(|s| s.0), [0, 1, 2]);
    }

    #[test]
    fn success_is_zero_and_the_vendor_range() {
        let done = (i32::from(i16::MIN)..=i32::from(i16::MAX)).filter(|&status| Status(status).is_success());
        assert!(done.eq(std::iter::once(0).chain(9000..=9899)));
    }

    /// PUE-V-013: LoPAR gives 9000 to 9899 and -9004 to -9999 to vendors (table "RTAS Status Word Values"), and
    /// -9004 has a meaning of its own in `ibm,suspend-me`.
    #[test]
    fn report_statuses_are_pinned_in_the_vendor_ranges() {
        let errors = [Status::MALFORMED, Status::NOT_ARMED, Status::NOT_OFFERED, Status::WRONG_CONNECTOR];
        assert_eq!(errors.map(|status| status.0), [-9005, -9006, -9007, -9008]);
        assert_eq!(Status::ALREADY, Status(9000));
        assert_eq!([Status::SUCCESS, Status::HARDWARE, Status::NO_SUCH_INDICATOR].map(|s| s.0), [0, -1, -3]);
        assert!(!errors.iter().chain([&Status::ALREADY]).any(|status| status.is_busy()));
    }

    #[test]
    fn busy_is_minus_two_and_the_six_extended_delays() {
        let busy = (i32::from(i16::MIN)..=i32::from(i16::MAX)).map(Status).filter(|status| status.is_busy());
        assert!(busy.eq([-2, 9900, 9901, 9902, 9903, 9904, 9905].map(Status)));
    }
}
