// SPDX-License-Identifier: MIT OR Apache-2.0

//! Builds of `qemu-system-ppc64`.

pub(crate) mod build;
pub(crate) mod bundle;

use crate::{
    artifacts::{
        c_library::{self, c_library},
        host::Host,
        qemu::build::Series,
        source::Release,
    },
    cache::{Made, Recipe, Work, manifest::FILE_NAME},
    roots::{BUILD_ROOT, CROSS_ROOT, Root},
};
use anyhow::Result;
use std::fs;
use walkdir::WalkDir;

/// A build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qemu {
    /// Debian's own, which knows nothing of this project.
    Debian,
    /// The same for POWER hosts.
    DebianOnPower,
    /// Built here from source, as it was released.
    Stock(Release),
    /// Built here from source with those of this project's patches that need no library, and tested.
    Fixed(Release),
    /// Built here from source with this project's patches, and with the C library as it was then.
    Patched(Release),
    /// [`Qemu::Patched`] with the C library of this checkout, so that a change of the library does not take a build of
    /// QEMU.
    Ours(Release),
    /// [`Qemu::Patched`], of the stable release, for POWER hosts.
    PatchedOnPower,
    /// [`Qemu::Ours`], of the stable release, for POWER hosts.
    OursOnPower,
}

impl Qemu {
    /// All builds that commands use, but for those that are parts of others.
    pub(crate) const ALL: [Self; 9] = [
        Self::Debian,
        Self::DebianOnPower,
        Self::Stock(Release::Stable),
        Self::Stock(Release::Newest),
        Self::Fixed(Release::Stable),
        Self::Fixed(Release::Newest),
        Self::Ours(Release::Stable),
        Self::Ours(Release::Newest),
        Self::OursOnPower,
    ];

    /// Returns the kind: of the stable release's build, or of the newest one's.
    fn kind(self) -> &'static str {
        let (kinds, release) = match self {
            Self::Debian => (["qemu"; 2], Release::Stable),
            Self::DebianOnPower => (["qemu-ppc64el"; 2], Release::Stable),
            Self::PatchedOnPower => (["qemu-stable-patched-ppc64el"; 2], Release::Stable),
            Self::OursOnPower => (["qemu-ours-ppc64el"; 2], Release::Stable),
            Self::Stock(release) => (["qemu-stable", "qemu-newest"], release),
            Self::Fixed(release) => (["qemu-stable-fixes", "qemu-newest-fixes"], release),
            Self::Patched(release) => (["qemu-stable-patched", "qemu-newest-patched"], release),
            Self::Ours(release) => (["qemu-ours", "qemu-ours-newest"], release),
        };
        kinds[usize::from(release == Release::Newest)]
    }

    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let kind = self.kind();
        let built = |title: &str, release: Release, series: Series| {
            let title = format!("{title} ({})", release.name());
            build::recipe(kind, title, release, series, Host::Own)
        };
        let debian = |title: &str, root: Root, host: Host| {
            Recipe::new(kind, title, move |work| copy_debian(work, root, host))
                .parts([root.recipe()])
                .text("wrapper", bundle::WRAPPER)
                .needs(120)
        };
        let ours = |title: String, patched: Self, host: Host| {
            Recipe::new(kind, title, move |work| replace_library(work, patched.kind(), host))
                .parts([patched.recipe(), c_library(host)])
                .needs(120)
        };
        let recipe = match self {
            Self::Debian => debian("stock QEMU", BUILD_ROOT, Host::Own),
            Self::DebianOnPower => debian("stock QEMU for POWER hosts", CROSS_ROOT, Host::Power),
            Self::Stock(release) => built("QEMU, built from source", release, Series::Stock),
            Self::Fixed(release) => built("QEMU with our fixes, built from source and tested", release, Series::Fixes),
            Self::Patched(release) => built("QEMU with our patches, built from source", release, Series::Library),
            Self::PatchedOnPower => {
                let title = "QEMU with our patches for POWER hosts, built from source".to_owned();
                build::recipe(kind, title, Release::Stable, Series::Library, Host::Power)
            }
            Self::Ours(release) => ours(format!("our QEMU ({})", release.name()), Self::Patched(release), Host::Own),
            Self::OursOnPower => ours("our QEMU for POWER hosts".to_owned(), Self::PatchedOnPower, Host::Power),
        };
        recipe.text("layout", "1").file(bundle::PROGRAM)
    }
}

/// Copies Debian's QEMU from a root.
fn copy_debian(work: &Work<'_>, root: Root, host: Host) -> Result<Made> {
    let tree = work.of(root.kind).tree();
    let modules = work.mkdir("lib/qemu")?;
    bundle::copy(&tree.join("usr/bin").join(bundle::PROGRAM), &work.path(bundle::BINARY))?;
    // The only loadable module that a machine without display loads. It needs no further library.
    let qtest = tree.join("usr/lib").join(host.arch()?.triplet).join("qemu/accel-qtest.so");
    bundle::copy(&qtest, &modules.join("accel-qtest.so"))?;
    bundle::complete(&tree, host, work.dir, &[])
}

/// Copies a patched QEMU, with the C library of this checkout in the place of its own.
fn replace_library(work: &Work<'_>, patched: &str, host: Host) -> Result<Made> {
    let patched = &work.of(patched).dir;
    for entry in WalkDir::new(patched).min_depth(1) {
        let entry = entry?;
        let to = work.path(entry.path().strip_prefix(patched)?);
        if entry.file_type().is_dir() {
            fs::create_dir(&to)?;
        } else if entry.file_name() != FILE_NAME {
            bundle::copy(entry.path(), &to)?;
        }
    }
    let library = c_library::shared(work.of(c_library::kind(host)));
    bundle::copy(&library, &work.path("lib").join(c_library::SONAME))?;
    bundle::whole(host, work.dir)
}
