// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a kernel module says about itself, read from its file as `modinfo` does.

use anyhow::{Context as _, Result};
use std::{fs, path::Path};

/// The `name=value` strings of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modinfo(Vec<(String, String)>);

impl Modinfo {
    /// Reads a module's file.
    pub fn read(module: &Path) -> Result<Self> {
        let file = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        Self::parse(&file).with_context(|| format!("{} is no module for ppc64le", module.display()))
    }

    /// The value of a field, the first one if there are more.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    fn parse(elf: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(section(elf, b".modinfo")?).into_owned();
        let pairs = text.split('\0').filter_map(|entry| entry.split_once('='));
        Some(Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

/// A section of a little-endian ELF64 file. (The offsets are those of `Elf64_Ehdr` and `Elf64_Shdr`.)
fn section<'a>(elf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?)));
    let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?) as usize);
    let long = |at: usize| usize::try_from(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?)).ok();

    elf.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (headers, size, count, names) = (long(0x28)?, half(0x3a)?, half(0x3c)?, half(0x3e)?);
    let header = |index: usize| headers.checked_add(index.checked_mul(size)?);
    let contents = |header: usize| elf.get(long(header + 0x18)?..)?.get(..long(header + 0x20)?);
    let names = contents(header(names)?)?;
    (0..count).filter_map(header).find_map(|header| {
        let named = names.get(word(header)?..)?;
        let is_it = named.starts_with(name) && named.get(name.len()) == Some(&0);
        is_it.then(|| contents(header))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with an empty section, the names and `.modinfo`.
    fn elf(modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.names\0.modinfo\0";
        let mut file = vec![0; 0x40];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x28..0x30].copy_from_slice(&0x40u64.to_le_bytes());
        for (at, value) in [(0x3a, 0x40u16), (0x3c, 3), (0x3e, 1)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let mut offset = 0x40 + 3 * 0x40;
        for (name, contents) in [(0u32, &b""[..]), (1, names), (8, modinfo)] {
            let mut header = [0; 0x40];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(contents.len() as u64).to_le_bytes());
            file.extend(header);
            offset += contents.len();
        }
        [&file, &names[..], modinfo].concat()
    }

    #[test]
    fn fields_are_found_by_name() {
        let modinfo = Modinfo::parse(&elf(b"license=GPL\0author=A\0author=B\0\0description=a=b\0")).unwrap();
        assert_eq!(modinfo.get("license"), Some("GPL"));
        assert_eq!(modinfo.get("author"), Some("A"));
        assert_eq!(modinfo.get("description"), Some("a=b"));
        assert_eq!(modinfo.get("version"), None);
    }

    #[test]
    fn file_cut_anywhere_is_no_module_and_no_panic() {
        let whole = elf(b"license=GPL\0");
        for length in 0..whole.len() {
            assert_eq!(Modinfo::parse(&whole[..length]), None, "{length} bytes");
        }
    }
}
