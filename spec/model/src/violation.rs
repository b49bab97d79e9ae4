// SPDX-License-Identifier: MIT OR Apache-2.0

//! Promises of the protocol, and how one was broken.

use std::fmt;

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// A request has one outcome, and every outcome belongs to a request.
    ExactlyOnce,
    /// A refusal is charged to the request that was refused, at the connector that refused.
    Attribution,
    /// A guest that has promised to answer, and lives, leaves no request without an outcome.
    NoSilence,
    /// A device is deleted only when the guest has given all of it back, or with a reset.
    NoTheft,
    /// A device that the guest has given back on request is deleted.
    NoGhost,
    /// An idle guest that releases what it is asked for can always give the device back.
    NoStranding,
    /// A device_del is never turned away because of an earlier one that the guest is done with.
    NoWedge,
    /// The VMM survives whatever the guest does.
    NoAbort,
    /// The VMM shows a promise only where the guest made one, and the guest makes one only where it can keep it.
    TruePromise,
    /// The guest is asked only for devices whose removal is wanted, and begins only with what it has not answered.
    NoStale,
}

/// A promise that was broken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    /// The promise.
    pub property: Property,
    /// The way in which it was broken.
    pub how: &'static str,
}

impl Violation {
    pub(crate) const fn new(property: Property, how: &'static str) -> Self {
        Self { property, how }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.how)
    }
}
