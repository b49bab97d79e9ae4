// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events of the log of RTAS events.

use papr_unplug_wire::wire::{hotplug::HotplugRequest, section::HotplugSection, token::Token};

/// Bytes that the kernel puts before each event: a number of its own.
const NUMBER: usize = 4;

/// Bytes of an event before its first section: header, and extended header.
const HEADERS: usize = 8 + 16;

/// Size of a section's header: two bytes of identifier, and two of length.
const SECTION_HEADER: usize = 4;

/// Hot plug event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HotplugEvent {
    /// Request.
    pub(crate) request: HotplugRequest,
    /// Token of the request, [`Token::NONE`] if it has none.
    pub(crate) token: Token,
}

impl HotplugEvent {
    /// Reads what one `read` of the log gives. Returns `None` for events of other kinds.
    pub(crate) fn from_log(record: &[u8]) -> Option<Self> {
        let log = record.get(NUMBER..)?;
        let length = log.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)?;
        let end = usize::try_from(length).ok()?.checked_add(8)?;
        let mut rest = log.get(HEADERS..end.min(log.len()))?;
        loop {
            if let Some(section) = HotplugSection::from_bytes(rest) {
                return Some(Self { request: section.request, token: HotplugSection::token(rest) });
            }
            let length = rest.get(2..SECTION_HEADER).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)?;
            // A section that is shorter than its header has no end.
            rest = rest.get(usize::from(length).max(SECTION_HEADER)..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use papr_unplug_wire::wire::{
        drc::DrcIndex,
        hotplug::{Action, Resource, Target},
    };

    /// Returns a record with two other sections before these bytes.
    fn record(section: &[u8]) -> Vec<u8> {
        let others = [&b"PH\0\x30"[..], &[0; 44], b"UH\0\x18", &[0; 20]].concat();
        let rest = [&[0; 16][..], &others, section].concat();
        let length = u32::try_from(rest.len()).unwrap().to_be_bytes();
        [&[7, 0, 0, 0][..], &[6, 0xe5, 0, 0xe5], &length, &rest, &[0; 32]].concat()
    }

    const PLAIN: [u8; 20] = [b'H', b'P', 0, 20, 1, 0, 0, 0, 5, 2, 2, 0, 0x40, 0, 0, 8, 0, 0, 0, 0];

    #[test]
    fn request_is_found_behind_other_sections() {
        let event = HotplugEvent::from_log(&record(&PLAIN)).unwrap();
        assert_eq!(event.request.target(), Target::Index(DrcIndex(0x4000_0008)));
        assert_eq!((event.request.resource, event.request.action), (Resource::PCI, Action::REMOVE));
        assert_eq!(event.token, Token::NONE);
    }

    #[test]
    fn token_is_read_where_there_is_one() {
        let mut section = [&PLAIN[..], &[0, 0, 0x12, 0x34]].concat();
        section[3] = 24;
        section[11] = 0x80;
        assert_eq!(HotplugEvent::from_log(&record(&section)).unwrap().token, Token(0x1234));
    }

    #[test]
    fn event_of_another_kind_is_none() {
        assert_eq!(HotplugEvent::from_log(&record(b"EP\0\x14aaaabbbbccccdddd")), None);
    }

    #[test]
    fn truncation_and_section_without_length_are_none_and_no_panic() {
        let whole = record(&PLAIN);
        for length in 0..whole.len() - 32 {
            assert_eq!(HotplugEvent::from_log(&whole[..length]), None, "{length}");
        }
        assert_eq!(HotplugEvent::from_log(&record(b"XX\0\0\0\0\0\0")), None);
    }
}
