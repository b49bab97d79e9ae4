// SPDX-License-Identifier: MIT OR Apache-2.0

//! Platform event log of a hot plug event (LoPAR, "Platform Event Log Format, Version 6").

use crate::memory;

/// Version 6, severity EVENT, not recovered, an extended log follows, initiator and type hot plug (229).
const SUMMARY: u32 = 0x0634_60E5;

/// The header of the extended log: valid, new, big endian, in the format of platform event logs, from IBM.
const HEADER: &[u8; 16] = b"\x86\0\x8E\0\0\0\0\0\0\0\0\0IBM\0";

/// Returns the log that ends with a hot plug section. Its time of creation is left out.
pub(crate) fn of(section: &[u8]) -> Vec<u8> {
    // The creator of the log is the hypervisor; the log has three sections.
    let main_a = [&b"PH\0\x30\x01\0\0\0"[..], &[0; 16], b"H\0\0\x03", &[0; 20]].concat();
    // It is about the external environment, and no error.
    let main_b = [&b"UH\0\x18\x01\0\0\0"[..], b"\x80\0\0\0", &[0; 12]].concat();
    let extended = [HEADER, main_a.as_slice(), &main_b, section].concat();
    [memory::bytes(&[SUMMARY, extended.len() as u32]), extended].concat()
}
