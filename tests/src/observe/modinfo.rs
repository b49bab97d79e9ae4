// SPDX-License-Identifier: MIT OR Apache-2.0

//! `.modinfo` section of a kernel module's file.

use anyhow::{Context as _, Result};
use object::{LittleEndian, Object as _, ObjectSection as _, read::elf::ElfFile64};
use std::{fs, path::Path};

/// `name=value` strings of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modinfo(Vec<(String, String)>);

impl Modinfo {
    /// Reads the file of a module.
    pub fn read(module: &Path) -> Result<Self> {
        let file = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        Self::parse(&file).with_context(|| format!("{} is no module for ppc64le", module.display()))
    }

    /// Returns the first value of a field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    fn parse(file: &[u8]) -> Result<Self> {
        let elf = ElfFile64::<LittleEndian>::parse(file)?;
        let modinfo = elf.section_by_name(".modinfo").context("there is no section .modinfo")?;
        let text = String::from_utf8_lossy(modinfo.data()?);
        let pairs = text.split('\0').filter_map(|entry| entry.split_once('='));
        Ok(Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Architecture, BinaryFormat, Endianness, SectionKind, write};

    fn elf(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut elf = write::Object::new(BinaryFormat::Elf, Architecture::PowerPc64, Endianness::Little);
        let section = elf.add_section(Vec::new(), name.into(), SectionKind::ReadOnlyData);
        elf.append_section_data(section, contents, 1);
        elf.write().unwrap()
    }

    #[test]
    fn fields_are_found_by_name() {
        let file = elf(".modinfo", b"license=GPL\0author=A\0author=B\0\0description=a=b\0");
        let modinfo = Modinfo::parse(&file).unwrap();
        assert_eq!(modinfo.get("license"), Some("GPL"));
        assert_eq!(modinfo.get("author"), Some("A"));
        assert_eq!(modinfo.get("description"), Some("a=b"));
        assert_eq!(modinfo.get("version"), None);
    }

    #[test]
    fn file_without_modinfo_is_no_module() {
        assert!(Modinfo::parse(&elf(".text", b"")).is_err());
    }

    #[test]
    fn file_cut_anywhere_is_no_module_and_no_panic() {
        let whole = elf(".modinfo", b"license=GPL\0");
        for length in 0..whole.len() {
            assert!(Modinfo::parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
