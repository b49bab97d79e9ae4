// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library, for a QEMU that uses it: compiled by the host's cargo, and linked where QEMU is, so that both want the same
//! C library of the system.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::artifacts::qemu::root::QemuRoot;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::command::install::{self, Install};
use crate::host::sandbox::{SOURCE, Sandbox, WORK};
use crate::run::step::{Log, output_of};
use crate::settings::Settings;

/// The library as it is installed below [`WORK`], with header and pkg-config file.
#[derive(Debug)]
pub(crate) struct CLibrary;

impl CLibrary {
    /// The shared library's name.
    pub(crate) const FILE: &str = install::SONAME;
    /// What is installed, below the artifact.
    const PREFIX: &str = "work";

    /// A sandbox with the library in it.
    pub(crate) fn mounted(held: &Artifact, sandbox: Sandbox) -> Sandbox {
        sandbox.bind_read_only(&held.path(Self::PREFIX), WORK)
    }

    /// The shared library.
    pub(crate) fn shared(held: &Artifact) -> PathBuf {
        held.path(Self::PREFIX).join("lib").join(Self::FILE)
    }

    /// What a program that is linked against the library depends on, other than its code.
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

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&QemuRoot]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = output_of(Command::new(rustc).arg("-vV").current_dir(&settings.checkout))?;
        let mut inputs = CLibrary::interface(Inputs::default().text("rustc", version), &settings.checkout)?;
        for file in sources(&settings.checkout)? {
            inputs = inputs.file(file.display().to_string(), &settings.checkout.join(&file))?;
        }
        Ok(inputs)
    }

    fn needs(&self) -> u64 {
        20
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root] = parts else { unreachable!("one part is declared") };
        let mut log = Log::begin(store, self.kind())?;
        let (prefix, destdir) = (PathBuf::from(WORK), Some(dir.to_path_buf()));
        install::into(store, &mut log, &Install { prefix, libdir: "lib".into(), destdir, is_static: true })?;

        let inside = Path::new(WORK).join("lib");
        let archive = inside.join(install::STATIC);
        let words = install::shared_library(&Path::new(SOURCE).join(install::MAP), &archive, &inside.join(Self::FILE));
        let capi = store.settings.checkout.join(install::SOURCES);
        let sandbox = Root::sandbox(root).bind_read_only(&capi, SOURCE).bind(&dir.join(Self::PREFIX), WORK);
        log.run(store, "linking the shared library", sandbox.command(["gcc"]).args(words))?;
        // QEMU is to use the one that can be replaced beside it.
        let lib = dir.join(Self::PREFIX).join("lib");
        fs::remove_file(lib.join(install::STATIC))?;
        symlink(Self::FILE, lib.join(install::LINK_NAME))?;
        let files = ["include/papr_unplug.h", "lib/pkgconfig/papr-unplug.pc", &format!("lib/{}", Self::FILE)];
        Ok(Made { files: files.map(|file| Path::new(Self::PREFIX).join(file)).into(), ..Made::default() })
    }
}

/// The files that the library is compiled from, below the checkout.
fn sources(checkout: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("Cargo.toml"), PathBuf::from("Cargo.lock")];
    for room in ["host-vmm", "host-vmm/capi", "spec/wire"] {
        files.push(Path::new(room).join("Cargo.toml"));
        for entry in WalkDir::new(checkout.join(room).join("src")).sort_by_file_name() {
            let entry = entry.with_context(|| format!("cannot read {room}"))?;
            if entry.file_type().is_file() {
                files.push(entry.path().strip_prefix(checkout)?.to_path_buf());
            }
        }
    }
    Ok(files)
}
