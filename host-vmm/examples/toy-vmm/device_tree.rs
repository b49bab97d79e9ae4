// SPDX-License-Identifier: MIT OR Apache-2.0

//! Device tree that a guest boots with: the node `/rtas` with the offer, and nothing else.

use crate::memory;
use papr_unplug::Offer;

/// Tokens of the structure block (Devicetree Specification, "Flattened Devicetree Format").
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// The magic number, the version, and the version that is needed to read the tree.
const MAGIC: u32 = 0xD00D_FEED;
const VERSION: u32 = 17;
const COMPATIBLE: u32 = 16;

/// The sizes in bytes of the header and of the empty list of reserved memory, which come before the structure.
const HEADER: u32 = 40;
const RESERVED: [u8; 16] = [0; 16];
const STRUCTURE_AT: u32 = HEADER + RESERVED.len() as u32;

/// Returns the flattened tree. A guest without an offer finds no property (PUE-V-001).
pub(crate) fn flattened(offer: Option<Offer>) -> Vec<u8> {
    let name = Offer::PROPERTY.to_bytes_with_nul();
    let property = offer.map(|offer| {
        let value = offer.property();
        [memory::bytes(&[PROPERTY, value.len() as u32, 0]), value.to_vec()].concat()
    });
    let structure = [
        memory::bytes(&[BEGIN_NODE, 0, BEGIN_NODE]),
        b"rtas\0\0\0\0".to_vec(),
        property.unwrap_or_default(),
        memory::bytes(&[END_NODE, END_NODE, END]),
    ]
    .concat();
    let strings_at = STRUCTURE_AT.saturating_add(structure.len() as u32);
    let total = strings_at.saturating_add(name.len() as u32);
    let sizes = memory::bytes(&[name.len() as u32, structure.len() as u32]);
    let header = memory::bytes(&[MAGIC, total, STRUCTURE_AT, strings_at, HEADER, VERSION, COMPATIBLE, 0]);
    [header.as_slice(), &sizes, &RESERVED, &structure, name].concat()
}
