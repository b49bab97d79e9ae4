// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the guest answers: the indicators and states of `set-indicator`, and what RTAS says to it.

use core::fmt;

/// What a `set-indicator` call sets (its first argument; LoPAR, "set-indicator").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicator(pub u32);

impl Indicator {
    /// Whether the connector's resource is cut off from the guest.
    pub const ISOLATION_STATE: Self = Self(9001);
    /// Whether the connector's resource belongs to the guest.
    pub const ALLOCATION_STATE: Self = Self(9003);
}

/// The state of [`Indicator::ISOLATION_STATE`] (the third argument).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolationState(pub u32);

impl IsolationState {
    /// The guest lets go of the resource.
    pub const ISOLATE: Self = Self(0);
    /// The guest takes, or keeps, the resource. On a connector that is unisolated already this is a null transition,
    /// which always succeeds; QEMU reads it as a refusal of the unplug that is pending there.
    pub const UNISOLATE: Self = Self(1);
}

/// What an RTAS call returned (its first output word).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const SUCCESS: Self = Self(0);
    /// Not done, call again.
    pub const BUSY: Self = Self(-2);

    /// Whether the same call is to be made again, now (-2) or after a while (9900 to 9905).
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
    }

    #[test]
    fn busy_is_minus_two_and_the_six_extended_delays() {
        let busy = (i32::from(i16::MIN)..=i32::from(i16::MAX)).map(Status).filter(|status| status.is_busy());
        assert!(busy.eq([-2, 9900, 9901, 9902, 9903, 9904, 9905].map(Status)));
    }
}
