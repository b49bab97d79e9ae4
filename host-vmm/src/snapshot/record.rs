// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records of a saved state, byte for byte.

use super::RestoreError;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    byteorder::big_endian::{U16, U32, U64},
};
// By glob: wherever zerocopy has its feature `derive` on, the traits' names above bring the derives along.
use zerocopy_derive::*;

/// Start of the stream.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 4],
    pub(super) version: U16,
    /// Classes that are armed.
    pub(super) armed_classes: U16,
    pub(super) armed_features: U32,
    /// Indicator that was offered; 0 if none was.
    pub(super) indicator: U32,
    pub(super) offered_classes: U32,
    pub(super) offered_features: U32,
    /// Id of the last request; 0 for none.
    pub(super) last_request: U64,
    /// Number of tokens that were passed.
    pub(super) tokens: U64,
    /// Number of [`Device`] records.
    pub(super) devices: U32,
    /// Number of [`Request`] records.
    pub(super) requests: U32,
    /// Number of [`Outcome`] records.
    pub(super) outcomes: U32,
}

/// One device; its [`Run`]s follow it.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Device {
    pub(super) first: U32,
    pub(super) count: U32,
    /// [`WANTED`] and [`ECHO`].
    pub(super) flags: U32,
    pub(super) runs: U32,
}

/// Consecutive connectors of a device in one state; the next run is in another.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Run {
    pub(super) state: U32,
    pub(super) length: U32,
}

/// One open request.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Request {
    pub(super) id: U64,
    /// First connector of its device.
    pub(super) device: U32,
    /// Connector of the hint; 0 unless [`HINTED`].
    pub(super) hint: U32,
    pub(super) token: U16,
    pub(super) flags: U16,
}

/// One outcome.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Outcome {
    pub(super) id: U64,
    /// First connector of the device.
    pub(super) first: U32,
    /// Number of connectors of the device.
    pub(super) count: U32,
    /// Connector that refused; 0 unless refused.
    pub(super) connector: U32,
    /// LoPAR's resource type of the device.
    pub(super) resource: u8,
    /// Released 1, refused 2, reset 3, CAS 4, removed 5, withdrawn 6, closed by load 7.
    pub(super) end: u8,
    pub(super) reason: u8,
    pub(super) errno: u8,
    /// Token 1, order 2, inferred 3; 0 unless refused.
    pub(super) evidence: u8,
    pub(super) zero: [u8; 3],
}

/// Value of [`Header::magic`].
pub(super) const MAGIC: [u8; 4] = *b"PUES";

/// Flag of a [`Device`]: its removal is wanted.
pub(super) const WANTED: u32 = 1;
/// Flag of a [`Device`]: a report is expected that repeats a hint.
pub(super) const ECHO: u32 = 2;

/// Flag of a [`Request`]: the guest has promised to answer it.
pub(super) const PROMISED: u16 = 1;
/// Flag of a [`Request`]: the guest has begun to handle it.
pub(super) const STARTED: u16 = 2;
/// Flag of a [`Request`]: the guest has hinted.
pub(super) const HINTED: u16 = 4;
/// Flag of a [`Request`]: the guest has not been asked.
pub(super) const WITHHELD: u16 = 8;
/// Flag of a [`Request`]: it came from a VMM without this crate.
pub(super) const IMPORTED: u16 = 16;

const _: () = assert!(size_of::<Header>() == 52);
const _: () = assert!(size_of::<Device>() == 16);
const _: () = assert!(size_of::<Run>() == 8);
const _: () = assert!(size_of::<Request>() == 20);
const _: () = assert!(size_of::<Outcome>() == 28);

/// Takes the next record from the stream.
pub(super) fn take<'a, T: FromBytes + KnownLayout + Immutable + Unaligned>(
    bytes: &mut &'a [u8],
) -> Result<&'a T, RestoreError> {
    let (record, rest) = T::ref_from_prefix(bytes).map_err(|_| RestoreError::CutOff)?;
    *bytes = rest;
    Ok(record)
}
