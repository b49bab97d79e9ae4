// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hot plug sections, byte for byte.

use papr_unplug::{
    Span,
    event::{Ask, Device, RequestId},
    wire::{drc::DrcIndex, hotplug::Resource, token::Token},
};

/// Returns the section from the resource type on.
fn asked(resource: Resource, first: u32, count: u32, token: Token) -> Vec<u8> {
    let device = Device { resource, connectors: Span::new(DrcIndex(first), count).unwrap() };
    Ask::new(RequestId(1), device, token).section().as_ref()[8..].to_vec()
}

#[test]
fn device_of_one_connector_is_asked_for_by_its_index() {
    assert_eq!(asked(Resource::CPU, 0x1000_0001, 1, Token::NONE), [1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0]);
}

/// As QEMU asks.
#[test]
fn memory_is_asked_for_by_indexed_count_also_if_it_is_one_lmb() {
    assert_eq!(asked(Resource::MEMORY, 0x8000_0008, 1, Token::NONE), [2, 2, 4, 0, 0, 0, 0, 1, 0x80, 0, 0, 8]);
    assert_eq!(asked(Resource::MEMORY, 0x8000_0008, 2, Token::NONE), [2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8]);
}

/// PUE-V-021, PUE-V-022
#[test]
fn token_follows_the_identifier_and_is_flagged() {
    let with = asked(Resource::PMEM, 0x9000_0000, 1, Token(0x1234));
    assert_eq!(with, [6, 2, 2, 0x80, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34]);
}

/// PUE-V-025: the zeros are what librtas finds behind the 16 bytes that it takes for the section.
#[test]
fn slot_phb_or_function_is_named_by_an_index_and_four_zeros_with_a_token_and_without() {
    for (resource, first) in [(Resource::SLOT, 0x4000_0020), (Resource::PHB, 0x2000_0001), (Resource::PCI, 0x4000_0018)]
    {
        let [a, b, c, d] = u32::to_be_bytes(first);
        let plain = [resource.0, 2, 2, 0, a, b, c, d, 0, 0, 0, 0];
        assert_eq!(asked(resource, first, 1, Token::NONE), plain);
        let with_token = [resource.0, 2, 2, 0x80, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(asked(resource, first, 1, Token(7)), with_token);
    }
}
