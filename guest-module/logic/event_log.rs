// SPDX-License-Identifier: GPL-2.0-only

//! The platform event log around a hot plug section: where a request's token is read, while it is still there.
//!
//! Linux hands around the 12 bytes of the request only, but until `queue_hotplug_event` has copied them they stand
//! where firmware wrote them: in the middle of the whole log.
//!
//! ```text
//! rtas_error_log          8 bytes, the last four: how long the rest is
//! rtas_ext_event_log_v6  16 bytes, the last four: "IBM\0"
//! sections                each with an identifier and its length; one of them is the hot plug section
//! ```

use crate::wire::{
    section::{HotplugSection, TokenSection},
    token::Token,
};

/// What the header of a log in IBM's format ends with.
const COMPANY: [u8; 4] = *b"IBM\0";
/// How far before the hot plug section the header may end; what VMMs write there is two sections of 72 bytes in all.
const FARTHEST: usize = 512;
/// How much of it is looked at in one go: each goes through the kernel's own function for reading what may not be there.
const GLANCE: usize = 32;
/// The shortest section: its header.
const SHORTEST: usize = 8;

/// The token of the hot plug section at the address `section` (PUE-G-020), [`Token::NONE`] if it has none that can be
/// believed (PUE-G-021).
pub fn token(section: usize, memory: &impl Memory) -> Token {
    find(section, memory).unwrap_or(Token::NONE)
}

/// What the log stands in.
pub trait Memory {
    /// The bytes at this address; `None` if they cannot be read.
    fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]>;
}

fn find(section: usize, memory: &impl Memory) -> Option<Token> {
    let mut bytes = [0; TokenSection::SIZE];
    let (header, token) = bytes.split_at_mut(HotplugSection::SIZE);
    header.copy_from_slice(&memory.read::<{ HotplugSection::SIZE }>(section)?);
    let length = length(header)?;
    if length < TokenSection::SIZE || section.wrapping_add(length) > end(section, memory)? {
        return None;
    }
    token.copy_from_slice(&memory.read::<4>(section.wrapping_add(length).wrapping_sub(4))?);
    // What stands between the request and the token is left out.
    bytes[2..4].copy_from_slice(&(TokenSection::SIZE as u16).to_be_bytes());
    Some(HotplugSection::token(&bytes))
}

/// Where the log ends that has a section at this address: its header is looked for, and must lead to the section.
fn end(section: usize, memory: &impl Memory) -> Option<usize> {
    let company = company(section, memory)?;
    let mut at = company.wrapping_add(4);
    while at < section {
        let length = length(&memory.read::<4>(at)?)?;
        if length < SHORTEST {
            return None;
        }
        at = at.wrapping_add(length);
    }
    // The rest of the log begins 12 bytes before the company, and its length 4 bytes before that.
    let length = u32::from_be_bytes(memory.read(company.wrapping_sub(16))?);
    let end = company.wrapping_sub(12).wrapping_add(length as usize);
    (at == section).then_some(end)
}

/// Where the header ends with the company, before the section at this address.
fn company(section: usize, memory: &impl Memory) -> Option<usize> {
    let mut from = section;
    while section.wrapping_sub(from) < FARTHEST {
        from = from.wrapping_sub(GLANCE);
        let glance: [u8; GLANCE] = memory.read(from)?;
        if let Some(word) = glance.chunks_exact(4).rposition(|word| word == COMPANY) {
            return Some(from.wrapping_add(word.wrapping_mul(4)));
        }
    }
    None
}

/// The length in a section's header.
fn length(header: &[u8]) -> Option<usize> {
    header.get(2..4).and_then(|length| length.try_into().ok()).map(|length| usize::from(u16::from_be_bytes(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    const BASE: usize = 0x1000;
    /// Where the hot plug section stands in [`log`].
    const SECTION: usize = 96;

    /// A log as QEMU writes it: a header, sections PH (48 bytes) and UH (24), then the hot plug section.
    fn log() -> Vec<u8> {
        let mut log = vec![6, 0xE5, 0, 0xE5, 0, 0, 0, 0];
        log.extend([0x82, 0, 0x8E, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'I', b'B', b'M', 0]);
        log.extend([b'P', b'H', 0, 48, 1, 0, 0, 0]);
        log.resize(log.len() + 40, 0);
        log.extend([b'U', b'H', 0, 24, 1, 0, 0, 0]);
        log.resize(log.len() + 16, 0);
        log.extend([b'H', b'P', 0, 24, 1, 0, 0, 0, 2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0xBE, 0xEF]);
        let length = log.len() as u32 - 8;
        log[4..8].copy_from_slice(&length.to_be_bytes());
        log
    }

    fn token_in(log: &[u8]) -> Token {
        token(BASE + SECTION, &Only(log))
    }

    /// There is nothing but this in memory, from [`BASE`] on.
    struct Only<'a>(&'a [u8]);

    impl Memory for Only<'_> {
        fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
            let at = address.checked_sub(BASE)?;
            self.0.get(at..at + N)?.try_into().ok()
        }
    }

    /// PUE-G-020
    #[test]
    fn token_of_a_whole_log_is_found() {
        assert_eq!(token_in(&log()), Token(0xBEEF));
    }

    /// PUE-G-020
    #[test]
    fn token_stands_at_the_end_of_a_longer_section() {
        let mut longer = log();
        longer[SECTION + 3] = 32;
        longer.extend([0, 0, 0, 1, 0, 0, 0, 7]);
        longer[7] += 8;
        assert_eq!(token_in(&longer), Token(7));
    }

    /// PUE-G-021
    #[test]
    fn section_that_ends_behind_the_log_has_no_token() {
        let mut short = log();
        short[7] -= 1;
        assert_eq!(token_in(&short), Token::NONE);
    }

    /// PUE-G-021
    #[test]
    fn section_without_a_token_or_with_one_too_wide_has_none() {
        let (mut unannounced, mut wide, mut plain) = (log(), log(), log());
        unannounced[SECTION + 11] = 0x40;
        wide[SECTION + 21] = 1;
        plain[SECTION + 3] = 20;
        assert_eq!([unannounced, wide, plain].map(|log| token_in(&log)), [Token::NONE; 3]);
    }

    #[test]
    fn log_whose_sections_do_not_lead_to_this_one_has_no_token() {
        let (mut astray, mut endless, mut foreign) = (log(), log(), log());
        astray[27] = 52;
        endless[27] = 0;
        foreign[20] = b'X';
        assert_eq!([astray, endless, foreign].map(|log| token_in(&log)), [Token::NONE; 3]);
    }

    #[test]
    fn memory_that_cannot_be_read_is_no_token() {
        let log = log();
        assert!((0..log.len()).all(|length| token_in(&log[..length]) == Token::NONE));
    }
}
