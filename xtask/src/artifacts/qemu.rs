// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VMMs: Debian's stock `qemu-system-ppc64`, and what is built here from source, with and without our patches.

pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod root;
pub(crate) mod source;

use std::fs;
use std::path::Path;

use anyhow::Result;
use walkdir::WalkDir;

use crate::artifacts::c_library::CLibrary;
use crate::artifacts::qemu::build::QemuBuild;
use crate::artifacts::qemu::source::Release;
use crate::artifacts::root::Root;
use crate::cache::manifest::{FILE_NAME, Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::settings::Settings;

/// QEMU as Debian builds it.
#[derive(Debug)]
pub(crate) struct Qemu;

impl Recipe for Qemu {
    fn kind(&self) -> &'static str {
        "qemu"
    }

    fn title(&self) -> String {
        "stock QEMU".to_owned()
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("wrapper", bundle::WRAPPER).text("layout", "1"))
    }

    fn needs(&self) -> u64 {
        120
    }

    fn make(&self, _: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root] = parts else { unreachable!("one part is declared") };
        let tree = Root::tree(root);
        let modules = dir.join("lib/qemu");
        fs::create_dir_all(&modules)?;
        bundle::copy(&tree.join("usr/bin").join(bundle::PROGRAM), &dir.join(bundle::BINARY))?;
        // The only loadable part that a headless machine without a CPU's help wants; it needs no further library.
        let qtest = tree.join("usr/lib").join(host::arch()?.triplet).join("qemu/accel-qtest.so");
        bundle::copy(&qtest, &modules.join("accel-qtest.so"))?;
        bundle::complete(root, dir, &[])
    }
}

/// A QEMU that speaks the protocol: the patched one, with the C library as it is in this checkout.
///
/// The library is beside the program, so that a change of the library costs seconds and not a build of QEMU.
#[derive(Debug)]
pub(crate) struct OurQemu {
    patched: QemuBuild,
    release: Release,
}

impl OurQemu {
    pub(crate) fn new(release: Release) -> Self {
        Self { patched: QemuBuild::ours(release), release }
    }
}

impl Recipe for OurQemu {
    fn kind(&self) -> &'static str {
        match self.release {
            Release::Stable => "qemu-ours",
            Release::Newest => "qemu-ours-newest",
        }
    }

    fn title(&self) -> String {
        format!("our QEMU ({})", self.release.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&self.patched, &CLibrary]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("layout", "1"))
    }

    fn needs(&self) -> u64 {
        120
    }

    fn make(&self, _: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [patched, library] = parts else { unreachable!("two parts are declared") };
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
}
