// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's source packages of QEMU.

use crate::{
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made, sha256_of},
        store::{Recipe, Store},
    },
    run::{apt::Apt, log::Log, machine},
    settings::Settings,
};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// A release of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Release {
    /// The one in Debian's stable release.
    Stable,
    /// The newest that the mirror has.
    Newest,
}

impl Release {
    /// Returns the suites that are searched for it.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::Stable => &["trixie"],
            Self::Newest => &["experimental", "sid", "forky"],
        }
    }

    /// Returns the name in titles.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Newest => "newest",
        }
    }
}

/// The source: the archive of the release, and Debian's additions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QemuSource(pub(crate) Release);

impl QemuSource {
    /// The archive of the release, in the artifact.
    pub(crate) const RELEASE: &str = "release.tar.xz";
    /// The archive of Debian's additions, in the artifact.
    pub(crate) const DEBIAN: &str = "debian.tar.xz";
    /// The fact with the version.
    pub(crate) const VERSION: &str = "version";
}

impl Recipe for QemuSource {
    fn kind(&self) -> &'static str {
        match self.0 {
            Release::Stable => "qemu-source-stable",
            Release::Newest => "qemu-source-newest",
        }
    }

    fn title(&self) -> String {
        format!("QEMU source ({})", self.0.name())
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("suites", self.0.suites().join(" ")))
    }

    fn needs(&self) -> u64 {
        100
    }

    fn make(&self, store: &Store, _: &Parts, dir: &Path) -> Result<Made> {
        machine::require_tools(&store.progress)?;
        let mut log = store.log(self.kind())?;
        let state = dir.join("apt");
        let apt = Apt::for_sources(&store.settings, &mut log, state.clone(), self.0.suites())?;
        let version = fetch_newest(&mut log, &apt, dir)?;
        fs::remove_dir_all(&state)?;
        let mut made = Made::default();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = match &name {
                name if name.ends_with(".orig.tar.xz") => Self::RELEASE,
                name if name.ends_with(".debian.tar.xz") => Self::DEBIAN,
                _ => continue,
            };
            fs::rename(&path, dir.join(file))?;
            made.fact(&format!("{file} was"), name);
            made.fact(&format!("{file} sha256"), sha256_of(&dir.join(file))?);
            made.files.push(file.into());
        }
        made.fact(Self::VERSION, version);
        Ok(made)
    }
}

/// Fetches the newest version that the mirror has. A mirror in the middle of an update lists versions that it does not
/// have.
fn fetch_newest(log: &mut Log, apt: &Apt, into: &Path) -> Result<String> {
    let versions = apt.source_versions("qemu")?;
    let Some((last, newer)) = versions.split_last() else { bail!("the mirror lists no source of QEMU") };
    for version in newer {
        if apt.fetch_source_once(log, &format!("qemu={version}"), into).is_ok() {
            return Ok(version.clone());
        }
        log.say(format!("    the mirror lists QEMU {version} but does not have it"));
    }
    apt.fetch_source(log, &format!("qemu={last}"), into).context("no source of QEMU could be fetched")?;
    Ok(last.clone())
}
