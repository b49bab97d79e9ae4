// SPDX-License-Identifier: MIT OR Apache-2.0

//! ELF sections of a kernel module's file.

/// Section of a little-endian ELF64 file. (The offsets below are those of `Elf64_Ehdr` and `Elf64_Shdr`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Name.
    pub name: &'a [u8],
    /// True if the section holds instructions (`SHF_EXECINSTR`).
    pub is_code: bool,
    /// True if the section is loaded (`SHF_ALLOC`).
    pub is_loaded: bool,
    /// Size in memory, in bytes.
    pub size: u64,
    /// Contents; empty for `SHT_NOBITS`.
    pub contents: &'a [u8],
}

/// Returns the sections of a file, or `None` if it is no complete little-endian ELF64 file.
pub fn sections(elf: &[u8]) -> Option<Vec<Section<'_>>> {
    const NOBITS: usize = 8;
    const ALLOC: usize = 2;
    const EXECINSTR: usize = 4;
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?)));
    let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?) as usize);
    let long = |at: usize| usize::try_from(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?)).ok();

    elf.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (headers, size, count, names) = (long(0x28)?, half(0x3a)?, half(0x3c)?, half(0x3e)?);
    let header = |index: usize| headers.checked_add(index.checked_mul(size)?);
    let contents = |header: usize| elf.get(long(header + 0x18)?..)?.get(..long(header + 0x20)?);
    let names = contents(header(names)?)?;
    let mut sections = Vec::new();
    for index in 0..count {
        let header = header(index)?;
        let name = names.get(word(header)?..)?.split(|byte| *byte == 0).next()?;
        let flags = long(header + 8)?;
        sections.push(Section {
            name,
            is_code: flags & EXECINSTR != 0,
            is_loaded: flags & ALLOC != 0,
            size: long(header + 0x20)? as u64,
            contents: if word(header + 4)? == NOBITS { &[] } else { contents(header)? },
        });
    }
    Some(sections)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Builds an ELF file with an empty section, the section names, and one more section.
    pub(crate) fn elf(name: &str, is_code: bool, contents: &[u8]) -> Vec<u8> {
        let names = [b"\0.names\0", name.as_bytes(), b"\0"].concat();
        let mut file = vec![0; 0x40];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x28..0x30].copy_from_slice(&0x40u64.to_le_bytes());
        for (at, value) in [(0x3a, 0x40u16), (0x3c, 3), (0x3e, 1)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let mut offset = 0x40 + 3 * 0x40;
        for (name, code, contents) in [(0u32, false, &b""[..]), (1, false, &names), (8, is_code, contents)] {
            let mut header = [0; 0x40];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[8] = if code { 4 } else { 0 };
            header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(contents.len() as u64).to_le_bytes());
            file.extend(header);
            offset += contents.len();
        }
        [&file, &names[..], contents].concat()
    }

    #[test]
    fn sections_are_found_with_their_names_and_contents() {
        let file = elf(".text", true, b"code");
        let sections = sections(&file).unwrap();
        assert_eq!(sections.len(), 3);
        assert_eq!(
            sections[2],
            Section { name: b".text", is_code: true, is_loaded: false, size: 4, contents: b"code" }
        );
        assert!(!sections[1].is_code);
    }

    #[test]
    fn file_cut_anywhere_is_no_elf_and_no_panic() {
        let whole = elf(".text", true, b"code");
        for length in 0..whole.len() {
            assert_eq!(sections(&whole[..length]), None, "{length} bytes");
        }
    }
}
