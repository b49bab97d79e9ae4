// SPDX-License-Identifier: MIT OR Apache-2.0

//! Configuration of a machine: what the guest is offered, and how many requests may be open.

use crate::wire::{
    offer::{self, Classes, Features},
    rtas::Indicator,
};
use zerocopy::IntoBytes as _;

/// Configuration of a [`Tracker`](crate::Tracker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) offer: Option<Offer>,
    pub(crate) max_open: usize,
    pub(crate) max_open_per_device: usize,
}

impl Config {
    /// Sets what the guest is offered in the device tree it boots with; `None` offers no reports (PUE-V-001).
    pub fn offer(self, offer: Option<Offer>) -> Self {
        Self { offer, ..self }
    }

    /// Sets the number of requests that may be open at a time, at most 65535 (PUE-V-052).
    pub fn max_open(self, max_open: usize) -> Self {
        Self { max_open: max_open.min(usize::from(u16::MAX)), ..self }
    }

    /// Sets the number of requests that may be open at a time for one device, so that a device whose guest never
    /// answers leaves room for the others.
    pub fn max_open_per_device(self, max_open_per_device: usize) -> Self {
        Self { max_open_per_device, ..self }
    }
}

impl Default for Config {
    /// Returns the configuration of a VMM that takes no reports, with at most 1024 open requests, 64 for each device.
    fn default() -> Self {
        Self { offer: None, max_open: 1024, max_open_per_device: 64 }
    }
}

/// Offer to take reports, as the guest reads it in the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    indicator: u32,
    classes: Classes,
    features: Features,
}

impl Offer {
    /// Name of the property of the `/rtas` node that holds the offer.
    pub const PROPERTY: &'static core::ffi::CStr = offer::Offer::PROPERTY;

    /// Features that this crate implements.
    const FEATURES: Features = Features::TOKEN.union(Features::STARTED);

    /// Returns the offer to take reports on `indicator`, for `classes`, with `features`. Returns `None` if the
    /// indicator is not one of LoPAR's vendor indicators (PUE-V-002), or if this crate does not implement a feature.
    pub fn new(indicator: Indicator, classes: Classes, features: Features) -> Option<Self> {
        let offer = Self { indicator: indicator.0, classes, features };
        (Indicator::VENDOR.contains(&indicator.0) && Self::FEATURES.contains(features)).then_some(offer)
    }

    /// Returns the indicator that takes reports.
    pub fn indicator(&self) -> Indicator {
        Indicator(self.indicator)
    }

    /// Returns the classes that the guest may arm.
    pub fn classes(&self) -> Classes {
        self.classes
    }

    /// Returns the features that the guest may arm.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Returns the value of the property [`Self::PROPERTY`]: three big endian cells (PUE-V-001).
    pub fn property(&self) -> [u8; offer::Offer::SIZE] {
        let cells = [self.indicator, u32::from(self.classes.0), u32::from(self.features.0)];
        let [indicator, classes, features] = cells.map(Into::into);
        let mut bytes = [0; offer::Offer::SIZE];
        bytes.copy_from_slice(offer::Offer { indicator, classes, features }.as_bytes());
        bytes
    }
}
