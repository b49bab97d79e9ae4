// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's source packages.

use crate::{
    artifacts::patch,
    cache::{Artifact, Made, Recipe, Work, sha256_of},
    run::{Apt, Log, SOURCE, Sandbox, WORK, machine},
};
use anyhow::{Context, Result, anyhow};
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

/// The archive of the release, in the artifact.
const RELEASE: &str = "release.tar.xz";

/// The archive of Debian's additions, in the artifact.
const DEBIAN: &str = "debian.tar.xz";

/// The fact with the version.
pub(crate) const VERSION: &str = "version";

/// The source of a package: the archive of the release, and Debian's additions.
pub(crate) fn source(package: &'static str, release: Release) -> Recipe {
    let title = format!("{package} source ({})", release.name());
    Recipe::new(kind(package, release), title, move |work| make(work, package, release))
        .text("suites", release.suites().join(" "))
        .file(RELEASE)
        .file(DEBIAN)
}

/// Returns the kind of a package's source.
pub(crate) fn kind(package: &str, release: Release) -> &'static str {
    match (package, release) {
        ("libvirt", _) => "libvirt-source-stable",
        (_, Release::Stable) => "qemu-source-stable",
        (_, Release::Newest) => "qemu-source-newest",
    }
}

/// Unpacks a source into `tree`, with Debian's patches, by the tools of a root.
pub(crate) fn unpack(log: &Log, root: &Sandbox, source: &Artifact, tree: &Path) -> Result<()> {
    fs::create_dir(tree)?;
    let sandbox = root.clone().bind_read_only(&source.dir, WORK).bind(tree, SOURCE);
    let tar = |archive: &str, more: &str| {
        let archive = format!("{WORK}/{archive}");
        sandbox.command(["tar", "-C", SOURCE, "-x", "--no-same-owner", "-f", &archive, more])
    };
    log.run("unpacking the source", &mut tar(RELEASE, "--strip-components=1"))?;
    log.run("unpacking Debian's part", &mut tar(DEBIAN, "debian/patches"))?;
    let series = tree.join("debian/patches/series");
    let series = fs::read_to_string(&series).with_context(|| format!("cannot read {}", series.display()))?;
    for patch in series.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        patch::apply(log, &sandbox, patch, &format!("{SOURCE}/debian/patches/{patch}"))?;
    }
    Ok(())
}

fn make(work: &Work<'_>, package: &str, release: Release) -> Result<Made> {
    machine::require_tools(&work.store.progress)?;
    let apt = Apt::for_sources(work.settings, &work.log, work.path("apt"), release.suites())?;
    let version = fetch_newest(&work.log, &apt, package, work.dir)?;
    let mut made = Made::default().fact(VERSION, version);
    for entry in fs::read_dir(work.dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        for (end, file) in [(".orig.tar.xz", RELEASE), (".debian.tar.xz", DEBIAN)] {
            if name.ends_with(end) {
                let to = work.path(file);
                fs::rename(work.path(&name), &to)?;
                made = made.fact(format!("{file} was"), &name).fact(format!("{file} sha256"), sha256_of(&to)?);
            }
        }
    }
    Ok(made)
}

/// Fetches the newest version that the mirror has. A mirror in the middle of an update lists versions that it does not
/// have.
fn fetch_newest(log: &Log, apt: &Apt, package: &str, into: &Path) -> Result<String> {
    let mut failed = anyhow!("the mirror lists no source of {package}");
    for version in apt.source_versions(package)? {
        match apt.fetch_source(log, &format!("{package}={version}"), into) {
            Ok(()) => return Ok(version),
            Err(error) => failed = error,
        }
        log.say(format!("    the mirror lists {package} {version} but does not have it"));
    }
    Err(failed.context(format!("no source of {package} could be fetched")))
}
