// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machine under test, with devices of every resource, of one and of several connectors.

use papr_unplug::{
    Span,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features, Offer},
        rtas::Indicator,
    },
};
use papr_unplug_model::{machine::Device, reference::Config};

const fn device(resource: Resource, first: u32, count: u32) -> Device {
    Device { resource, first: DrcIndex(first), count }
}

/// Every device that can be plugged.
pub const DEVICES: [Device; 9] = [
    device(Resource::CPU, 0x1000_0001, 1),
    device(Resource::CPU, 0x1000_0002, 1),
    device(Resource::MEMORY, 0x8000_0008, 3),
    device(Resource::MEMORY, 0x8000_000B, 2),
    device(Resource::PHB, 0x2000_0001, 1),
    device(Resource::PMEM, 0x9000_0000, 1),
    device(Resource::PCI, 0x4000_0001, 1),
    device(Resource::PCI, 0x4000_0008, 2),
    device(Resource::SLOT, 0x4000_0100, 1),
];

/// A connector behind which there is never a device.
pub const VACANT: Device = device(Resource::MEMORY, 0x8000_0100, 1);

/// A DRC index that no connector has.
pub const UNKNOWN: u32 = 0xFFFF_FFFF;

const fn offer(indicator: u32, classes: u16, features: u8) -> Offer {
    Offer::new(Indicator(indicator), Classes(classes), Features(features))
}

/// The offers that a VMM makes, one at a time.
pub const OFFERS: [Offer; 3] = [offer(9100, 0x7E, 3), offer(9999, 0x06, 1), offer(9555, 0x7E, 0)];

/// Number of requests that may be open, of all devices and of one.
pub const BOUND: usize = 5;
pub const BOUND_OF_DEVICE: usize = 3;

/// The configuration of the reference, with this offer.
pub fn config(offer: Option<Offer>) -> Config {
    Config { offer, max_open: BOUND, max_open_per_device: BOUND_OF_DEVICE }
}

/// Returns every DRC index there is, 0 (which is none) first and an unknown one last.
pub fn indexes() -> Vec<u32> {
    let devices = DEVICES.into_iter().chain([VACANT]).flat_map(Device::connectors).map(|index| index.0);
    [0].into_iter().chain(devices).chain([UNKNOWN]).collect()
}

/// Returns the device that a number chooses.
pub fn plan(place: u8) -> Device {
    DEVICES[usize::from(place) % DEVICES.len()]
}

/// Returns the DRC index that a number chooses.
pub fn index(place: u8) -> DrcIndex {
    let all = indexes();
    DrcIndex(all[usize::from(place) % all.len()])
}

/// Returns the connectors of a device.
pub fn span(device: Device) -> Span {
    Span::new(device.first, device.count).expect("a device has connectors")
}
