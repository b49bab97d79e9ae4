// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's source packages.

use crate::{
    artifacts::patch,
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store, sha256_of},
    roots::Root,
    run::{Apt, Log, SOURCE, WORK, machine},
    settings::Settings,
};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// A release of a package.
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
pub(crate) struct Source {
    package: &'static str,
    release: Release,
}

impl Source {
    /// libvirt.
    pub(crate) const LIBVIRT: Self = Self { package: "libvirt", release: Release::Stable };
    /// The archive of the release, in the artifact.
    const RELEASE: &str = "release.tar.xz";
    /// The archive of Debian's additions, in the artifact.
    const DEBIAN: &str = "debian.tar.xz";
    /// The fact with the version.
    pub(crate) const VERSION: &str = "version";

    /// Returns a release of QEMU.
    pub(crate) const fn qemu(release: Release) -> Self {
        Self { package: "qemu", release }
    }

    /// Unpacks a source into `tree`, with Debian's patches, by the tools of a root.
    pub(crate) fn unpack(log: &mut Log, root: &Artifact, source: &Artifact, tree: &Path) -> Result<()> {
        fs::create_dir(tree)?;
        let sandbox = Root::sandbox(root).bind_read_only(&source.dir, WORK).bind(tree, SOURCE);
        let tar = |archive: &str, more: &[&str]| {
            let mut command = sandbox.command(["tar", "-C", SOURCE, "-x", "--no-same-owner", "-f"]);
            command.arg(format!("{WORK}/{archive}")).args(more);
            command
        };
        log.run("unpacking the source", &mut tar(Self::RELEASE, &["--strip-components=1"]))?;
        log.run("unpacking Debian's part", &mut tar(Self::DEBIAN, &["debian/patches"]))?;
        let series = tree.join("debian/patches/series");
        let series = fs::read_to_string(&series).with_context(|| format!("cannot read {}", series.display()))?;
        for patch in series.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            patch::apply(log, &sandbox, patch, &format!("{SOURCE}/debian/patches/{patch}"))?;
        }
        Ok(())
    }
}

impl Recipe for Source {
    fn kind(&self) -> &'static str {
        match (self.package, self.release) {
            ("libvirt", _) => "libvirt-source-stable",
            (_, Release::Stable) => "qemu-source-stable",
            (_, Release::Newest) => "qemu-source-newest",
        }
    }

    fn title(&self) -> String {
        format!("{} source ({})", self.package, self.release.name())
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("suites", self.release.suites().join(" ")))
    }

    fn make(&self, store: &Store, _: &Parts, dir: &Path) -> Result<Made> {
        machine::require_tools(&store.progress)?;
        let mut log = store.log(self.kind())?;
        let state = dir.join("apt");
        let apt = Apt::for_sources(&store.settings, &mut log, state.clone(), self.release.suites())?;
        let version = fetch_newest(&mut log, &apt, self.package, dir)?;
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
fn fetch_newest(log: &mut Log, apt: &Apt, package: &str, into: &Path) -> Result<String> {
    let versions = apt.source_versions(package)?;
    let Some((last, newer)) = versions.split_last() else { bail!("the mirror lists no source of {package}") };
    for version in newer {
        if apt.fetch_source_once(log, &format!("{package}={version}"), into).is_ok() {
            return Ok(version.clone());
        }
        log.say(format!("    the mirror lists {package} {version} but does not have it"));
    }
    apt.fetch_source(log, &format!("{package}={last}"), into)
        .with_context(|| format!("no source of {package} could be fetched"))?;
    Ok(last.clone())
}
