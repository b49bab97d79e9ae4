// SPDX-License-Identifier: MIT OR Apache-2.0

//! The records of a saved state, byte for byte.

use super::RestoreError;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    byteorder::big_endian::{U16, U32, U64},
};
// By glob: wherever zerocopy has its feature `derive` on, the traits' names above bring the derives along.
use zerocopy_derive::*;

/// The start of the stream.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 4],
    pub(super) version: U16,
    /// What is armed now.
    pub(super) armed_classes: U16,
    pub(super) armed_features: U32,
    /// What was offered; the indicator is 0 if nothing was.
    pub(super) indicator: U32,
    pub(super) offered_classes: U32,
    pub(super) offered_features: U32,
    /// The last name and the last token that were given.
    pub(super) last_request: U64,
    pub(super) last_token: U32,
    /// How many records follow.
    pub(super) devices: U32,
    pub(super) requests: U32,
}

/// One device; so many [`Run`]s follow it.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Device {
    pub(super) first: U32,
    pub(super) count: U32,
    /// 0 or 1.
    pub(super) wanted: U32,
    pub(super) runs: U32,
}

/// So many consecutive connectors of a device are in one state; the next run is in another.
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
    /// The first connector of its device.
    pub(super) device: U32,
    /// 0 unless [`HINTED`].
    pub(super) hint: U32,
    pub(super) token: U16,
    pub(super) flags: U16,
}

/// What [`Header::magic`] reads.
pub(super) const MAGIC: [u8; 4] = *b"PUES";

/// Flags of a [`Request`].
pub(super) const PROMISED: u16 = 1;
/// The guest has begun.
pub(super) const STARTED: u16 = 2;
/// There is a hint.
pub(super) const HINTED: u16 = 4;

const _: () = assert!(size_of::<Header>() == 44);
const _: () = assert!(size_of::<Device>() == 16);
const _: () = assert!(size_of::<Run>() == 8);
const _: () = assert!(size_of::<Request>() == 20);

/// Takes the next record off the stream.
pub(super) fn take<'a, T: FromBytes + KnownLayout + Immutable + Unaligned>(
    bytes: &mut &'a [u8],
) -> Result<&'a T, RestoreError> {
    let (record, rest) = T::ref_from_prefix(bytes).map_err(|_| RestoreError::CutOff)?;
    *bytes = rest;
    Ok(record)
}
