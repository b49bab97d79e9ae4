// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stack frames of a module's functions.
//!
//! The C compiler warns of large frames (`CONFIG_FRAME_WARN`), and rustc does not, although a value may be built on the
//! stack before it moves to the heap.

use anyhow::{Context as _, Result};
use object::{LittleEndian, Object as _, ObjectSection as _, SectionKind, read::elf::ElfFile64};
use std::{fs, path::Path};

/// Returns the size of the largest frame in a module's file, in bytes.
pub fn largest(module: &Path) -> Result<u32> {
    let file = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let elf = ElfFile64::<LittleEndian>::parse(&*file)
        .with_context(|| format!("{} is no module for ppc64le", module.display()))?;
    let mut largest = 0;
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        let instructions = section.data()?.as_chunks::<4>().0.iter();
        largest = instructions.filter_map(|bytes| frame(u32::from_le_bytes(*bytes))).fold(largest, u32::max);
    }
    Ok(largest)
}

/// Returns the size of the frame that an instruction makes, in bytes, if it makes one (Power ISA, `stdu` and `stdux`
/// with r1).
fn frame(instruction: u32) -> Option<u32> {
    if instruction & 0xffff_0003 == 0xf821_0001 {
        // stdu r1,offset(r1): the offset is the low half without its two lowest bits.
        let offset = (instruction & 0xfffc) as u16 as i16;
        (offset < 0).then(|| offset.unsigned_abs().into())
    } else {
        // stdux r1,r1,rX: for an offset that does not fit into 16 bits.
        (instruction & 0xffff_07ff == 0x7c21_016a).then_some(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_off_the_instructions_that_make_them() {
        assert_eq!(frame(0xf821_ffe1), Some(32)); // stdu r1,-32(r1)
        assert_eq!(frame(0xf821_f7e1), Some(2080)); // stdu r1,-2080(r1)
        assert_eq!(frame(0x7c21_016a), Some(u32::MAX)); // stdux r1,r1,r0
        for other in [0x0000_0000, 0xf821_0021, 0xf801_ffe1, 0xf821_ffe0, 0x6000_0000, 0x4e80_0020] {
            assert_eq!(frame(other), None, "{other:#010x}");
        }
    }
}
