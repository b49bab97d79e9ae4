// SPDX-License-Identifier: GPL-2.0-only

//! Platform event log around a hot plug section, from which the token of a request is read.
//!
//! Firmware writes a whole log. Linux passes around only the 12 bytes of a request that it handles
//! itself: until `queue_hotplug_event` has copied them they are in the middle of the log. The log
//! of any other request goes to user space as it is.
//!
//! ```text
//! rtas_error_log          8 bytes, the last four: the length of the rest
//! rtas_ext_event_log_v6  16 bytes, the last four: "IBM\0"
//! sections                each begins with an identifier and its length
//! ```

use crate::wire::{
    hotplug::{Action, HotplugRequest},
    offer::Classes,
    section::{HotplugSection, TokenSection},
    token::Token,
};

/// The number of bytes that are read before the section. VMMs write the two headers and two other
/// sections of 72 bytes in all there.
pub const BEFORE: usize = 192;
/// The number of bytes that are read in all. They are read by one call of the kernel's function for
/// memory that may not be mapped.
pub const SIZE: usize = 256;

/// The type of a log about a hot plug event, and its offset.
const HOT_PLUG_EVENT: (usize, u8) = (3, 0xE5);
/// The end of the header of a log in IBM's format, and its offset.
const COMPANY: (usize, [u8; 4]) = (20, *b"IBM\0");
/// The offset of the length of what follows the first [`AFTER_LENGTH`] bytes.
const LENGTH: usize = 4;
const AFTER_LENGTH: usize = 8;
/// The offset of the first section.
const FIRST: usize = 24;
/// The identifier of a hot plug section.
const HOT_PLUG: [u8; 2] = *b"HP";
/// The length of the shortest section: its header. The request follows that of a hot plug section.
const SHORTEST: usize = 8;
/// The offset of the action in a request.
const ACTION: usize = 1;

/// A request in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The request.
    pub request: HotplugRequest,
    /// The token (PUE-G-020), [`Token::NONE`] if the section has none (PUE-G-021).
    pub token: Token,
    /// The offset of the request's section.
    section: usize,
}

/// A log as far as it concerns what the kernel hands to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForUserSpace {
    /// A log with a request for a removal.
    Removal(Logged),
    /// A log without one.
    Other,
    /// A hot plug event whose section is not where it should be.
    Strange,
}

impl Logged {
    /// Returns the offset of the request's action. With 0 there, nobody begins with the request.
    pub fn action(&self) -> usize {
        self.section.wrapping_add(SHORTEST).wrapping_add(ACTION)
    }
}

/// Returns whether the kernel logs something that firmware says now, given the type that it passes
/// (`ERR_TYPE_RTAS_LOG`). What was kept over a reset (`ERR_FLAG_BOOT`) is not (PUE-G-072).
pub fn is_new(kind: u32) -> bool {
    kind & 0x3 == 0x2
}

/// Returns what a log asks of user space.
pub fn for_user_space(log: &[u8; SIZE]) -> ForUserSpace {
    let (at, hot_plug_event) = HOT_PLUG_EVENT;
    if log.get(at) != Some(&hot_plug_event) {
        return ForUserSpace::Other;
    }
    match find(log) {
        Some(logged) if is_removal(&logged.request) => ForUserSpace::Removal(logged),
        Some(_) => ForUserSpace::Other,
        None => ForUserSpace::Strange,
    }
}

fn is_removal(request: &HotplugRequest) -> bool {
    let class = Classes::of(request.resource);
    request.action == Action::REMOVE && !class.is_empty() && Classes::IN_USER_SPACE.contains(class)
}

/// Returns the request and its token from the hot plug section that these bytes surround. Returns
/// `None` if no log leads to the section.
pub fn request(around: &[u8; SIZE]) -> Option<(HotplugRequest, Token)> {
    let (at, company) = COMPANY;
    let word = around.get(..BEFORE)?.chunks_exact(4).rposition(|word| word == company)?;
    let log = word.wrapping_mul(4).checked_sub(at)?;
    let Logged { request, token, section } = find(around.get(log..)?)?;
    (log.wrapping_add(section) == BEFORE).then_some((request, token))
}

/// Returns the request in the hot plug section of a log.
fn find(log: &[u8]) -> Option<Logged> {
    let (at, company) = COMPANY;
    if !log.get(at..)?.starts_with(&company) {
        return None;
    }
    let mut at = FIRST;
    while !log.get(at..)?.starts_with(&HOT_PLUG) {
        let length = length(log.get(at..)?)?;
        if length < SHORTEST {
            return None;
        }
        at = at.wrapping_add(length);
    }
    let section = log.get(at..)?;
    let length = length(section)?;
    let rest = u32::from_be_bytes(*log.get(LENGTH..)?.first_chunk()?);
    if length < HotplugSection::SIZE
        || at.wrapping_add(length) > AFTER_LENGTH.wrapping_add(rest as usize)
    {
        return None;
    }
    let head: &[u8; HotplugSection::SIZE] = section.first_chunk()?;
    let request = HotplugRequest::from(*head.last_chunk()?);
    let token = token(head, section.get(HotplugSection::SIZE..length)).unwrap_or(Token::NONE);
    Some(Logged { request, token, section: at })
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
                around[at..at + 4].copy_from_slice(&COMPANY.1);
                let _ = (request(&around), for_user_space(&around));
            }
        }
    }

    /// Returns the log of a removal of a PCI function, and what follows it.
    fn for_pci() -> [u8; SIZE] {
        let mut pci = [0xFF; SIZE];
        pci[..log().len()].copy_from_slice(&log());
        pci[SECTION + 8..][..12].copy_from_slice(&[5, 2, 2, 0x80, 0x40, 0, 0, 8, 0, 0, 0, 0]);
        pci
    }

    /// PUE-G-020
    #[test]
    fn removal_for_user_space_is_found_with_its_token_and_where_its_action_is() {
        let ForUserSpace::Removal(found) = for_user_space(&for_pci()) else { panic!() };
        let pci = HotplugRequest::from([5, 2, 2, 0x80, 0x40, 0, 0, 8, 0, 0, 0, 0]);
        assert_eq!((found.request, found.token), (pci, Token(0xBEEF)));
        assert_eq!((found.action(), for_pci()[found.action()]), (SECTION + 9, Action::REMOVE.0));
        let mut plain = for_pci();
        plain[SECTION + 3] = 20;
        plain[SECTION + 11] = 0;
        let ForUserSpace::Removal(found) = for_user_space(&plain) else { panic!() };
        assert_eq!(found.token, Token::NONE);
    }

    #[test]
    fn log_asks_user_space_for_nothing_if_it_is_about_anything_else() {
        for (at, other) in [(3, 0x40), (SECTION + 8, 1), (SECTION + 8, 0), (SECTION + 9, 1)] {
            let mut log = for_pci();
            log[at] = other;
            assert_eq!(for_user_space(&log), ForUserSpace::Other, "{at}");
        }
    }

    /// PUE-G-072
    #[test]
    fn log_that_was_kept_over_a_reset_is_not_new() {
        assert_eq!([2, 3, 0, 1, 4, 8].map(is_new), [true, false, false, false, false, false]);
    }

    #[test]
    fn hot_plug_event_whose_section_is_not_found_is_strange() {
        for (at, other) in [(20, b'X'), (27, 0), (27, 52), (SECTION, b'X'), (7, 0)] {
            let mut log = for_pci();
            log[at] = other;
            assert_eq!(for_user_space(&log), ForUserSpace::Strange, "{at}");
        }
    }
}
