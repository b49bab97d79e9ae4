// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C library for our QEMU: compiled by this machine's cargo, and linked in the root that QEMU is built in, so that
//! both use the same glibc.

pub(crate) mod install;

use crate::{
    artifacts::{c_library::install::Install, sources::Sources},
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{QEMU_ROOT, Root},
    run::{SOURCE, Sandbox, WORK, output_of},
    settings::Settings,
};
use anyhow::Result;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// The library, installed below [`WORK`], with header and pkg-config file.
#[derive(Debug)]
pub(crate) struct CLibrary;

impl CLibrary {
    /// The shared library's name.
    pub(crate) const FILE: &str = install::SONAME;
    /// The directory of the installation, in the artifact.
    const PREFIX: &str = "work";

    /// Adds the library to a sandbox.
    pub(crate) fn mounted(library: &Artifact, sandbox: Sandbox) -> Sandbox {
        sandbox.bind_read_only(&library.path(Self::PREFIX), WORK)
    }

    /// Returns the path of the shared library.
    pub(crate) fn shared(library: &Artifact) -> PathBuf {
        library.path(Self::PREFIX).join("lib").join(Self::FILE)
    }

    /// Adds what a program that is linked against the library depends on, apart from the library's code.
    pub(crate) fn interface(inputs: Inputs, checkout: &Path) -> Result<Inputs> {
        let files = [install::MAP, "include/papr_unplug.h", "papr-unplug.pc.in"];
        files.iter().try_fold(inputs.text("soname", install::SONAME), |inputs, file| {
            inputs.file(*file, &checkout.join(install::SOURCES).join(file))
        })
    }
}

impl Recipe for CLibrary {
    fn kind(&self) -> &'static str {
        "c-library"
    }

    fn title(&self) -> String {
        "C library".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(QEMU_ROOT)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = output_of(Command::new(rustc).arg("-vV").current_dir(&settings.checkout))?;
        sources(&settings.checkout)?
            .add_to(CLibrary::interface(Inputs::default().text("rustc", version), &settings.checkout)?)
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(self.kind())?;
        let (prefix, destdir) = (PathBuf::from(WORK), Some(dir.to_path_buf()));
        install::run(
            &store.settings.checkout,
            &mut log,
            &Install { prefix, libdir: "lib".into(), destdir, is_static: true },
        )?;

        let inside = Path::new(WORK).join("lib");
        let archive = inside.join(install::STATIC);
        let words = install::shared_library(&Path::new(SOURCE).join(install::MAP), &archive, &inside.join(Self::FILE));
        let capi = store.settings.checkout.join(install::SOURCES);
        let sandbox =
            Root::sandbox(parts.of(&QEMU_ROOT)).bind_read_only(&capi, SOURCE).bind(&dir.join(Self::PREFIX), WORK);
        log.run("linking the shared library", sandbox.command(["gcc"]).args(words))?;
        // QEMU must load the shared one, which can be replaced without a build of QEMU.
        let lib = dir.join(Self::PREFIX).join("lib");
        fs::remove_file(lib.join(install::STATIC))?;
        symlink(Self::FILE, lib.join(install::LINK_NAME))?;
        let files = ["include/papr_unplug.h", "lib/pkgconfig/papr-unplug.pc", &format!("lib/{}", Self::FILE)];
        Ok(Made { files: files.map(|file| Path::new(Self::PREFIX).join(file)).into(), ..Made::default() })
    }
}

/// Returns the files that the library is compiled from.
fn sources(checkout: &Path) -> Result<Sources> {
    let manifests = ["", "host-vmm/", "host-vmm/capi/", "spec/wire/"].map(|room| format!("{room}Cargo.toml"));
    let files: Vec<&str> = manifests.iter().map(String::as_str).chain(["Cargo.lock"]).collect();
    ["host-vmm/src", "host-vmm/capi/src", "spec/wire/src"]
        .iter()
        .try_fold(Sources::new(checkout, &files), |sources, dir| sources.with(dir, |_| true))
}
