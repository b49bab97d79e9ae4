// SPDX-License-Identifier: MIT OR Apache-2.0

//! Builds of `qemu-system-ppc64`.

pub(crate) mod build;
pub(crate) mod bundle;

use crate::{
    artifacts::{
        c_library::{self, c_library},
        qemu::build::Series,
        source::Release,
    },
    cache::{Made, Recipe, Work, manifest::FILE_NAME},
    roots::BUILD_ROOT,
    run::machine,
};
use anyhow::Result;
use std::fs;
use walkdir::WalkDir;

/// A build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qemu {
    /// Debian's own, which knows nothing of this project.
    Debian,
    /// Built here from source, as it was released.
    Stock(Release),
    /// Built here from source with those of this project's patches that need no library, and tested.
    Fixed(Release),
    /// Built here from source with this project's patches, and with the C library as it was then.
    Patched(Release),
    /// [`Qemu::Patched`] with the C library of this checkout, so that a change of the library does not take a build of
    /// QEMU.
    Ours(Release),
}

impl Qemu {
    /// All builds that commands use, but for those that are parts of others.
    pub(crate) const ALL: [Self; 7] = [
        Self::Debian,
        Self::Stock(Release::Stable),
        Self::Stock(Release::Newest),
        Self::Fixed(Release::Stable),
        Self::Fixed(Release::Newest),
        Self::Ours(Release::Stable),
        Self::Ours(Release::Newest),
    ];

    /// Returns the kind: of the stable release's build, or of the newest one's.
    fn kind(self) -> &'static str {
        let (kinds, release) = match self {
            Self::Debian => (["qemu"; 2], Release::Stable),
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
            build::recipe(kind, format!("{title} ({})", release.name()), release, series)
        };
        let recipe = match self {
            Self::Debian => Recipe::new(kind, "stock QEMU", copy_debian)
                .parts([BUILD_ROOT.recipe()])
                .text("wrapper", bundle::WRAPPER)
                .needs(120),
            Self::Stock(release) => built("QEMU, built from source", release, Series::Stock),
            Self::Fixed(release) => built("QEMU with our fixes, built from source and tested", release, Series::Fixes),
            Self::Patched(release) => built("QEMU with our patches, built from source", release, Series::Library),
            Self::Ours(release) => {
                let (patched, title) = (Self::Patched(release), format!("our QEMU ({})", release.name()));
                Recipe::new(kind, title, move |work| replace_library(work, patched.kind()))
                    .parts([patched.recipe(), c_library()])
                    .needs(120)
            }
        };
        recipe.text("layout", "1").file(bundle::PROGRAM)
    }
}

/// Copies Debian's QEMU from a root.
fn copy_debian(work: &Work<'_>) -> Result<Made> {
    let tree = work.of(BUILD_ROOT.kind).tree();
    let modules = work.mkdir("lib/qemu")?;
    bundle::copy(&tree.join("usr/bin").join(bundle::PROGRAM), &work.path(bundle::BINARY))?;
    // The only loadable module that a machine without display and KVM loads. It needs no further library.
    let qtest = tree.join("usr/lib").join(machine::arch()?.triplet).join("qemu/accel-qtest.so");
    bundle::copy(&qtest, &modules.join("accel-qtest.so"))?;
    bundle::complete(&tree, work.dir, &[])
}

/// Copies a patched QEMU, with the C library of this checkout in the place of its own.
fn replace_library(work: &Work<'_>, patched: &str) -> Result<Made> {
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
    let library = c_library::shared(work.of(c_library::KIND));
    bundle::copy(&library, &work.path("lib").join(c_library::SONAME))?;
    bundle::whole(work.dir)
}
