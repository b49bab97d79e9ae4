// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's package of the kernel's source.

use crate::{
    cache::{Inputs, Made, Parts, Recipe, Store, sha256_of},
    roots::only_deb,
    run::{Apt, machine, mirror},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{fmt, fs, path::Path};

/// The suites that are searched for the newest kernel.
const KERNEL_SUITES: &[&str] = &["forky", "sid", "experimental"];

/// The first series with Rust on powerpc.
const OLDEST: Series = Series(7, 3);

/// The package.
#[derive(Debug)]
pub(crate) struct LinuxSource;

impl LinuxSource {
    pub(crate) const LINUX: &str = "linux-source.deb";
}

impl Recipe for LinuxSource {
    fn kind(&self) -> &'static str {
        "download"
    }

    fn title(&self) -> String {
        "Linux source package".to_owned()
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("kernel suites", KERNEL_SUITES.join(" ")).text("kernel at least", OLDEST.to_string()))
    }

    fn needs(&self) -> u64 {
        350
    }

    fn make(&self, store: &Store, _: &Parts, dir: &Path) -> Result<Made> {
        machine::require_tools(&store.progress)?;
        let mut log = store.log("download")?;
        let state = dir.join("apt");
        let native = machine::arch()?.debian;
        let sources: Vec<(&str, &str)> = KERNEL_SUITES.iter().map(|suite| (*suite, native)).collect();
        let apt = Apt::new(&store.settings, &mut log, state.clone(), &sources)?;
        let (name, version) = newest(apt.versions(r"^linux-source-[0-9.]+$")?).with_context(|| {
            let mirror = mirror::address(&store.settings).unwrap_or_default();
            format!("{mirror} has no linux-source-{OLDEST} or newer in {}", KERNEL_SUITES.join(", "))
        })?;
        store.progress.say(format!("    found {name} {version}"));
        apt.fetch_only(&mut log, &[format!("{name}={version}")], dir)?;
        fs::remove_dir_all(&state)?;
        let mut made = Made::default();
        made.fact("linux", &version);
        let deb = only_deb(dir, &name)?;
        fs::rename(dir.join(&deb), dir.join(Self::LINUX))?;
        made.fact("package", deb);
        made.fact("sha256", sha256_of(&dir.join(Self::LINUX))?);
        made.files.push(Self::LINUX.into());
        Ok(made)
    }
}

/// A kernel series, such as 7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Series(u32, u32);

impl Series {
    fn of_package(name: &str) -> Option<Self> {
        let (major, minor) = name.strip_prefix("linux-source-")?.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Returns the newest version of the newest series from [`OLDEST`] on. `packages` has each name's newest version first.
fn newest(packages: Vec<(String, String)>) -> Option<(String, String)> {
    let series = packages.iter().filter_map(|(name, _)| Series::of_package(name)).filter(|s| *s >= OLDEST).max()?;
    packages.into_iter().find(|(name, _)| Series::of_package(name) == Some(series))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn newest_counts_series_as_numbers() {
        let rows = packages(&[
            ("linux-source-7.9", "7.9.1-1"),
            ("linux-source-7.10", "7.10.2-1"),
            ("linux-source-7.10", "7.10~rc3-1~exp1"),
            ("linux-source-6.12", "6.12.5-1"),
        ]);
        assert_eq!(newest(rows).unwrap().1, "7.10.2-1");
    }

    #[test]
    fn newest_without_rust_on_powerpc_is_none() {
        assert_eq!(newest(packages(&[("linux-source-7.2", "7.2.4-1"), ("linux-source-x", "1")])), None);
    }
}
