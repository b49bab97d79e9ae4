// SPDX-License-Identifier: MIT OR Apache-2.0

//! The hot plug section of a platform event log, with the token that LoPAR provides for answers.

use super::{
    hotplug::{Capability, HotplugRequest},
    token::Token,
};
use core::mem::{offset_of, size_of};
use zerocopy::{
    byteorder::big_endian::{U16, U32},
    FromBytes as _, // for its methods only: the derive of the same name comes by glob
};
use zerocopy_derive::*;

/// The first 20 bytes of a hot plug section ("HP"; LoPAR, "Platform Event Log Format, Hot Plug Section").
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct HotplugSection {
    /// "HP".
    pub id: [u8; 2],
    /// The section's length in bytes, from `id` to the end of the token.
    pub length: U16,
    /// Section version.
    pub version: u8,
    /// Section subtype.
    pub subtype: u8,
    /// The component that made the section.
    pub creator: U16,
    /// The request.
    pub request: HotplugRequest,
}

/// A hot plug section that ends with a token, as a hypervisor writes it: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TokenSection {
    /// The section without the token.
    pub section: HotplugSection,
    /// LoPAR's Hotplug Token.
    pub token: U32,
}

const _: () = assert!(size_of::<HotplugSection>() == HotplugSection::SIZE);
const _: () = assert!(offset_of!(HotplugSection, request) == 8);
const _: () = assert!(offset_of!(HotplugSection, request) + offset_of!(HotplugRequest, capability) == 0x0B);
const _: () = assert!(size_of::<TokenSection>() == TokenSection::SIZE);
const _: () = assert!(offset_of!(TokenSection, token) == TokenSection::SIZE - 4);

impl HotplugSection {
    /// The size in bytes, without a token.
    pub const SIZE: usize = 20;
    /// The value of [`Self::id`].
    pub const ID: [u8; 2] = *b"HP";

    /// Returns a section that carries `request` and no token.
    pub fn new(request: HotplugRequest) -> Self {
        let capability = request.capability.difference(Capability::TOKEN_PRESENT);
        let request = HotplugRequest { capability, ..request };
        let length = U16::new(Self::SIZE as u16);
        Self { id: Self::ID, length, version: 1, subtype: 0, creator: U16::new(0), request }
    }

    /// Reads the section at the start of `bytes`; `None` if that is no hot plug section, or is longer than `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (section, _) = Self::read_from_prefix(bytes).ok()?;
        let length = usize::from(section.length.get());
        (section.id == Self::ID && (Self::SIZE..=bytes.len()).contains(&length)).then_some(section)
    }

    /// Returns the token of the section at the start of `bytes`, its last four bytes; [`Token::NONE`] if it has none.
    ///
    /// A section that claims a token but is too short to hold one behind the identifier has none.
    pub fn token(bytes: &[u8]) -> Token {
        Self::find_token(bytes).unwrap_or(Token::NONE)
    }

    fn find_token(bytes: &[u8]) -> Option<Token> {
        let section = Self::from_bytes(bytes)?;
        let present = section.request.capability.contains(Capability::TOKEN_PRESENT);
        let behind_identifier = bytes.get(Self::SIZE..usize::from(section.length.get()))?;
        let (_, token) = U32::read_from_suffix(behind_identifier).ok()?;
        present.then(|| Token::from_hotplug_token(token.get()))
    }
}

impl TokenSection {
    /// The size in bytes.
    pub const SIZE: usize = 24;

    /// Returns a section that carries `request` and `token`.
    pub fn new(request: HotplugRequest, token: Token) -> Self {
        let mut section = HotplugSection::new(request);
        section.length = U16::new(Self::SIZE as u16);
        section.request.capability = section.request.capability.union(Capability::TOKEN_PRESENT);
        Self { section, token: U32::new(u32::from(token.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes as _;

    const WITH_TOKEN: [u8; 24] =
        [0x48, 0x50, 0, 24, 1, 0, 0, 0, 2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0xBE, 0xEF];

    /// PUE-V-021
    #[test]
    fn section_written_with_a_token_is_these_bytes() {
        let request = HotplugRequest::from_bytes(&[2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8]).unwrap();
        assert_eq!(TokenSection::new(request, Token(0xBEEF)).as_bytes(), WITH_TOKEN);
    }

    /// PUE-V-022
    #[test]
    fn section_written_without_a_token_is_what_hypervisors_always_wrote() {
        let request = HotplugRequest::from_bytes(&WITH_TOKEN[8..]).unwrap();
        let section = HotplugSection::new(request);
        assert_eq!(section.as_bytes()[..12], [0x48, 0x50, 0, 20, 1, 0, 0, 0, 2, 2, 4, 0]);
        assert_eq!(section.as_bytes()[12..], WITH_TOKEN[12..20]);
    }

    /// PUE-G-020
    #[test]
    fn token_is_read_from_the_end_of_the_section() {
        let longer = [&[0x48, 0x50, 0, 28], &WITH_TOKEN[4..20], &[9, 9, 9, 9, 0, 0, 0, 7, 1, 2]].concat();
        assert_eq!(HotplugSection::token(&WITH_TOKEN), Token(0xBEEF));
        assert_eq!(HotplugSection::token(&longer), Token(7));
    }

    /// PUE-G-021: the identifier is never mistaken for a token.
    #[test]
    fn token_that_is_not_announced_or_does_not_fit_is_none() {
        let mut unannounced = WITH_TOKEN;
        unannounced[11] = 0x7F;
        let mut short = WITH_TOKEN;
        short[3] = 20;
        let mut longer_than_the_log = WITH_TOKEN;
        longer_than_the_log[3] = 25;
        let mut other_section = WITH_TOKEN;
        other_section[0] = b'E';
        for bytes in [unannounced, short, longer_than_the_log, other_section] {
            assert_eq!(HotplugSection::token(&bytes), Token::NONE);
        }
    }

    /// PUE-G-021
    #[test]
    fn token_of_any_truncation_is_none() {
        assert!((0..24).all(|length| HotplugSection::token(&WITH_TOKEN[..length]) == Token::NONE));
    }
}
