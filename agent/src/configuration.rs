// SPDX-License-Identifier: MIT OR Apache-2.0

//! Configuration of the administrator.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Configuration of the administrator.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Configuration {
    /// True if devices in use are given back nevertheless.
    pub(crate) release_in_use: bool,
    /// PCI addresses of functions that are never given back, such as `0000:00:01.0`.
    pub(crate) keep: Vec<String>,
    /// Program that removes a function.
    pub(crate) removal: Removal,
    /// Paths where `drmgr` may be, the preferred one first.
    pub(crate) drmgr: Vec<PathBuf>,
}

/// Program that removes a function. PHBs, and additions, are `drmgr`'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Removal {
    /// The agent itself.
    #[default]
    Direct,
    /// `drmgr`, if it is there.
    Drmgr,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            release_in_use: false,
            keep: Vec::new(),
            removal: Removal::default(),
            drmgr: ["/run/papr-unplug/drmgr", "/usr/sbin/drmgr"].map(PathBuf::from).into(),
        }
    }
}

impl Configuration {
    /// Reads the file. Without one the defaults hold.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("it is not a configuration of the agent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_file_is_the_default() {
        assert_eq!(Configuration::parse("").unwrap(), Configuration::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = "release-in-use = true\nkeep = [\"0000:00:01.0\"]\nremoval = \"drmgr\"\ndrmgr = [\"/a\"]\n";
        let expected = Configuration {
            release_in_use: true,
            keep: vec!["0000:00:01.0".into()],
            removal: Removal::Drmgr,
            drmgr: vec!["/a".into()],
        };
        assert_eq!(Configuration::parse(text).unwrap(), expected);
    }

    #[test]
    fn misspelt_key_is_an_error_and_no_default() {
        assert!(Configuration::parse("keeps = []").is_err());
    }

    #[test]
    fn configuration_in_the_manual_page_is_the_default() {
        let page = include_str!("../man/papr-unplug-agent.8");
        let (_, rest) = page.split_once(".EX\n").unwrap();
        let (example, _) = rest.split_once("\n.EE").unwrap();
        assert_eq!(Configuration::parse(&example.replace("\\-", "-")).unwrap(), Configuration::default());
    }
}
