// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's package of the kernel's source.

use crate::{
    cache::{Made, Recipe, Work, sha256_of},
    roots::only_deb,
    run::{Apt, machine, mirror},
};
use anyhow::{Context, Result};
use std::fs;

/// The suites that are searched for the newest kernel.
const KERNEL_SUITES: &[&str] = &["forky", "sid", "experimental"];

/// The first series with Rust on powerpc.
const OLDEST: (u32, u32) = (7, 3);

/// The kind of the package.
pub(crate) const KIND: &str = "download";

/// The package.
pub(crate) fn linux_source() -> Recipe {
    Recipe::new(KIND, "Linux source package", make)
        .text("kernel suites", KERNEL_SUITES.join(" "))
        .text("kernel at least", format!("{}.{}", OLDEST.0, OLDEST.1))
        .needs(350)
        .file("linux-source.deb")
}

fn make(work: &Work<'_>) -> Result<Made> {
    machine::require_tools(&work.store.progress)?;
    let native = machine::arch()?.debian;
    let sources: Vec<(&str, &str)> = KERNEL_SUITES.iter().map(|suite| (*suite, native)).collect();
    let apt = Apt::new(work.settings, &work.log, work.path("apt"), &sources)?;
    let (name, version) = newest(apt.versions(r"^linux-source-[0-9.]+$")?).with_context(|| {
        let mirror = mirror::address(work.settings).unwrap_or_default();
        format!("{mirror} has no linux-source-{}.{} or newer in {}", OLDEST.0, OLDEST.1, KERNEL_SUITES.join(", "))
    })?;
    work.log.say(format!("    found {name} {version}"));
    apt.fetch_only(&work.log, &[format!("{name}={version}")], work.dir)?;
    let (deb, file) = (only_deb(work.dir, &name)?, work.path("linux-source.deb"));
    fs::rename(work.path(&deb), &file)?;
    Ok(Made::default().fact("linux", version).fact("package", deb).fact("sha256", sha256_of(&file)?))
}

/// Returns the series of a package, such as 7.3.
fn series(name: &str) -> Option<(u32, u32)> {
    let (major, minor) = name.strip_prefix("linux-source-")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the newest version of the newest series from [`OLDEST`] on. `packages` has each name's newest version first.
fn newest(packages: Vec<(String, String)>) -> Option<(String, String)> {
    let newest = packages.iter().filter_map(|(name, _)| series(name)).filter(|found| *found >= OLDEST).max()?;
    packages.into_iter().find(|(name, _)| series(name) == Some(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_counts_series_as_numbers_and_has_rust_on_powerpc() {
        let found = |rows: &[(&str, &str)]| {
            newest(rows.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect())
        };
        let rows = [("7.9", "7.9.1-1"), ("7.10", "7.10.2-1"), ("7.10", "7.10~rc3-1~exp1"), ("6.12", "6.12.5-1")];
        let rows = rows.map(|(name, version)| (format!("linux-source-{name}"), version));
        assert_eq!(found(&rows.each_ref().map(|(name, version)| (name.as_str(), *version))).unwrap().1, "7.10.2-1");
        assert_eq!(found(&[("linux-source-7.2", "7.2.4-1"), ("linux-source-x", "1")]), None);
    }
}
