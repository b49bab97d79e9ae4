// SPDX-License-Identifier: MIT OR Apache-2.0

//! Builds of `qemu-system-ppc64`.

pub(crate) mod build;
pub(crate) mod bundle;

use crate::{
    artifacts::{
        c_library::CLibrary,
        qemu::build::Series,
        source::{Release, Source},
    },
    cache::{
        artifact::{Artifact, Parts},
        manifest::{FILE_NAME, Inputs, Made},
        store::{Recipe, Store},
    },
    roots::root::{BUILD_ROOT, QEMU_ROOT, Root},
    run::machine,
    settings::Settings,
};
use anyhow::Result;
use std::{fs, path::Path};
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

    fn build(self, store: &Store, parts: &Parts, release: Release, series: Series, dir: &Path) -> Result<Made> {
        let (root, source) = (parts.of(&QEMU_ROOT), parts.of(&Source::qemu(release)));
        build::make(store, &mut store.log(self.kind())?, root, source, series, dir)
    }
}

impl Recipe for Qemu {
    fn kind(&self) -> &'static str {
        match self {
            Self::Debian => "qemu",
            Self::Stock(Release::Stable) => "qemu-stable",
            Self::Stock(Release::Newest) => "qemu-newest",
            Self::Fixed(Release::Stable) => "qemu-stable-fixes",
            Self::Fixed(Release::Newest) => "qemu-newest-fixes",
            Self::Patched(Release::Stable) => "qemu-stable-patched",
            Self::Patched(Release::Newest) => "qemu-newest-patched",
            Self::Ours(Release::Stable) => "qemu-ours",
            Self::Ours(Release::Newest) => "qemu-ours-newest",
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Debian => "stock QEMU".to_owned(),
            Self::Stock(release) => format!("QEMU, built from source ({})", release.name()),
            Self::Fixed(release) => format!("QEMU with our fixes, built from source and tested ({})", release.name()),
            Self::Patched(release) => format!("QEMU with our patches, built from source ({})", release.name()),
            Self::Ours(release) => format!("our QEMU ({})", release.name()),
        }
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        match *self {
            Self::Debian => vec![Box::new(BUILD_ROOT)],
            Self::Stock(release) | Self::Fixed(release) | Self::Patched(release) => {
                vec![Box::new(QEMU_ROOT), Box::new(Source::qemu(release))]
            }
            Self::Ours(release) => vec![Box::new(Self::Patched(release)), Box::new(CLibrary)],
        }
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        match self {
            Self::Debian => Ok(Inputs::default().text("wrapper", bundle::WRAPPER).text("layout", "1")),
            Self::Stock(_) => Series::Stock.inputs(settings),
            Self::Fixed(_) => Series::Fixes.inputs(settings),
            Self::Patched(_) => Series::Library.inputs(settings),
            Self::Ours(_) => Ok(Inputs::default().text("layout", "1")),
        }
    }

    fn needs(&self) -> u64 {
        match self {
            Self::Debian | Self::Ours(_) => 120,
            Self::Stock(_) | Self::Fixed(_) | Self::Patched(_) => 1800,
        }
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        match *self {
            Self::Debian => copy_debian(parts.of(&BUILD_ROOT), dir),
            Self::Stock(release) => self.build(store, parts, release, Series::Stock, dir),
            Self::Fixed(release) => self.build(store, parts, release, Series::Fixes, dir),
            Self::Patched(release) => self.build(store, parts, release, Series::Library, dir),
            Self::Ours(release) => replace_library(parts.of(&Self::Patched(release)), parts.of(&CLibrary), dir),
        }
    }
}

/// Copies Debian's QEMU from a root.
fn copy_debian(root: &Artifact, dir: &Path) -> Result<Made> {
    let tree = Root::tree(root);
    let modules = dir.join("lib/qemu");
    fs::create_dir_all(&modules)?;
    bundle::copy(&tree.join("usr/bin").join(bundle::PROGRAM), &dir.join(bundle::BINARY))?;
    // The only loadable module that a machine without display and KVM loads. It needs no further library.
    let qtest = tree.join("usr/lib").join(machine::arch()?.triplet).join("qemu/accel-qtest.so");
    bundle::copy(&qtest, &modules.join("accel-qtest.so"))?;
    bundle::complete(root, dir, &[])
}

/// Copies a patched QEMU, with the C library of this checkout in the place of its own.
fn replace_library(patched: &Artifact, library: &Artifact, dir: &Path) -> Result<Made> {
    for entry in WalkDir::new(&patched.dir).min_depth(1) {
        let entry = entry?;
        let to = dir.join(entry.path().strip_prefix(&patched.dir)?);
        if entry.file_type().is_dir() {
            fs::create_dir(&to)?;
        } else if entry.file_name() != FILE_NAME {
            bundle::copy(entry.path(), &to)?;
        }
    }
    bundle::copy(&CLibrary::shared(library), &dir.join("lib").join(CLibrary::FILE))?;
    bundle::whole(dir)
}
