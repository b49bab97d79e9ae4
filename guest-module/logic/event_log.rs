// SPDX-License-Identifier: GPL-2.0-only

//! Platform event log around a hot plug section, from which the token of a request is read.
//!
//! Linux passes around only the 12 bytes of the request. Until `queue_hotplug_event` has copied
//! them they are in the middle of the whole log, where firmware wrote it:
//!
//! ```text
//! rtas_error_log          8 bytes, the last four: the length of the rest
//! rtas_ext_event_log_v6  16 bytes, the last four: "IBM\0"
//! sections                each begins with an identifier and its length
//! ```

use crate::wire::{
    hotplug::HotplugRequest,
    section::{HotplugSection, TokenSection},
    token::Token,
};

/// The number of bytes that are read before the section. VMMs write the two headers and two other
/// sections of 72 bytes in all there.
pub const BEFORE: usize = 192;
/// The number of bytes that are read in all. They are read by one call of the kernel's function for
/// memory that may not be mapped.
pub const SIZE: usize = 256;

/// The end of the header of a log in IBM's format.
const COMPANY: [u8; 4] = *b"IBM\0";
/// The identifier of a hot plug section.
const HOT_PLUG: [u8; 2] = *b"HP";
/// The length of the shortest section: its header.
const SHORTEST: usize = 8;

/// Returns the request and its token (PUE-G-020) from the hot plug section that these bytes
/// surround. The token is [`Token::NONE`] if the section has none (PUE-G-021). Returns `None` if no
/// log leads to the section.
pub fn request(around: &[u8; SIZE]) -> Option<(HotplugRequest, Token)> {
    let section = around.get(BEFORE..)?;
    let length = length(section)?;
    if !section.starts_with(&HOT_PLUG)
        || length < HotplugSection::SIZE
        || BEFORE.wrapping_add(length) > end(around)?
    {
        return None;
    }
    let head: &[u8; HotplugSection::SIZE] = section.first_chunk()?;
    let request = HotplugRequest::from(*head.last_chunk()?);
    Some((request, token(head, section.get(HotplugSection::SIZE..length)).unwrap_or(Token::NONE)))
}

/// Returns the token at the end of the bytes that follow the request.
fn token(head: &[u8; HotplugSection::SIZE], rest: Option<&[u8]>) -> Option<Token> {
    // The bytes between the two are left out.
    let mut bytes = [0; TokenSection::SIZE];
    let (to_head, to_token) = bytes.split_at_mut(HotplugSection::SIZE);
    to_head.copy_from_slice(head);
    to_token.copy_from_slice(rest?.last_chunk::<4>()?);
    bytes[2..4].copy_from_slice(&(TokenSection::SIZE as u16).to_be_bytes());
    Some(HotplugSection::token(&bytes))
}

/// Returns the end of the log. Its header is searched for, and must lead to the section.
fn end(around: &[u8; SIZE]) -> Option<usize> {
    let company =
        around.get(..BEFORE)?.chunks_exact(4).rposition(|word| word == COMPANY)?.wrapping_mul(4);
    let mut at = company.wrapping_add(4);
    while at < BEFORE {
        let length = length(around.get(at..)?)?;
        if length < SHORTEST {
            return None;
        }
        at = at.wrapping_add(length);
    }
    // The rest of the log begins 12 bytes before the company, and its length 4 bytes before that.
    let length = around.get(company.checked_sub(16)?..)?.first_chunk()?;
    let end = company.wrapping_sub(12).wrapping_add(u32::from_be_bytes(*length) as usize);
    (at == BEFORE).then_some(end)
}

/// Returns the length in the header of a section.
fn length(header: &[u8]) -> Option<usize> {
    header
        .get(2..4)
        .and_then(|length| length.try_into().ok())
        .map(|length| usize::from(u16::from_be_bytes(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    /// The offset of the hot plug section in [`log`].
    const SECTION: usize = 96;

    /// Returns a log as QEMU writes it: a header, sections PH (48 bytes) and UH (24), then the hot
    /// plug section.
    fn log() -> Vec<u8> {
        let mut log = vec![6, 0xE5, 0, 0xE5, 0, 0, 0, 0];
        log.extend([0x82, 0, 0x8E, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'I', b'B', b'M', 0]);
        log.extend([b'P', b'H', 0, 48, 1, 0, 0, 0]);
        log.resize(log.len() + 40, 0);
        log.extend([b'U', b'H', 0, 24, 1, 0, 0, 0]);
        log.resize(log.len() + 16, 0);
        log.extend([
            b'H', b'P', 0, 24, 1, 0, 0, 0, 2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0xBE,
            0xEF,
        ]);
        let length = log.len() as u32 - 8;
        log[4..8].copy_from_slice(&length.to_be_bytes());
        log
    }

    /// Returns the log, surrounded by other memory.
    fn around(log: &[u8]) -> [u8; SIZE] {
        let mut around = [0xFF; SIZE];
        around[BEFORE - SECTION..][..log.len()].copy_from_slice(log);
        around
    }

    fn token_in(log: &[u8]) -> Token {
        request(&around(log)).map_or(Token::NONE, |(_, token)| token)
    }

    /// PUE-G-020
    #[test]
    fn request_and_token_of_a_whole_log_are_found() {
        let dimm = HotplugRequest::from([2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8]);
        assert_eq!(request(&around(&log())), Some((dimm, Token(0xBEEF))));
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
    fn section_that_ends_behind_the_log_is_not_believed() {
        let mut short = log();
        short[7] -= 1;
        assert_eq!(request(&around(&short)), None);
    }

    /// PUE-G-021
    #[test]
    fn section_without_a_token_or_with_one_too_wide_has_none() {
        let (mut unannounced, mut wide, mut plain) = (log(), log(), log());
        unannounced[SECTION + 11] = 0x40;
        wide[SECTION + 21] = 1;
        plain[SECTION + 3] = 20;
        for log in [unannounced, wide, plain] {
            assert_eq!(request(&around(&log)).map(|(_, token)| token), Some(Token::NONE));
        }
    }

    #[test]
    fn log_whose_sections_do_not_lead_to_this_one_is_not_believed() {
        let (mut astray, mut endless, mut foreign) = (log(), log(), log());
        astray[27] = 52;
        endless[27] = 0;
        foreign[20] = b'X';
        let mut other = log();
        other[SECTION] = b'X';
        let foreign = [astray, endless, foreign, other];
        assert_eq!(foreign.map(|log| request(&around(&log))), [None; 4]);
    }

    #[test]
    fn section_of_which_not_all_is_looked_at_has_no_token() {
        let mut longer = log();
        longer[SECTION + 3] = (SIZE - BEFORE + 1) as u8;
        longer[7] = 0xFF;
        assert_eq!(token_in(&longer), Token::NONE);
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm() {
        // Every length, after a company identifier at every offset.
        for at in (0..BEFORE).step_by(4) {
            for byte in 0..=u8::MAX {
                let mut around = [byte; SIZE];
                around[at..at + 4].copy_from_slice(&COMPANY);
                let _ = request(&around);
            }
        }
    }
}
