// SPDX-License-Identifier: MIT OR Apache-2.0

//! `.modinfo` section of a kernel module's file.

use crate::observe::elf;
use anyhow::{Context as _, Result};
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

    fn parse(file: &[u8]) -> Option<Self> {
        let sections = elf::sections(file)?;
        let modinfo = sections.iter().find(|section| section.name == b".modinfo")?;
        let text = String::from_utf8_lossy(modinfo.contents);
        let pairs = text.split('\0').filter_map(|entry| entry.split_once('='));
        Some(Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let file = elf::tests::elf(".modinfo", false, b"license=GPL\0author=A\0author=B\0\0description=a=b\0");
        let modinfo = Modinfo::parse(&file).unwrap();
        assert_eq!(modinfo.get("license"), Some("GPL"));
        assert_eq!(modinfo.get("author"), Some("A"));
        assert_eq!(modinfo.get("description"), Some("a=b"));
        assert_eq!(modinfo.get("version"), None);
    }

    #[test]
    fn file_without_modinfo_is_no_module() {
        assert_eq!(Modinfo::parse(&elf::tests::elf(".text", true, b"")), None);
    }
}
