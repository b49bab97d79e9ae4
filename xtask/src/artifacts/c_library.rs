// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C library for our QEMU: compiled by this machine's cargo, and linked in the root that QEMU is built in, so that
//! both use the same glibc.

pub(crate) mod install;

use crate::{
    artifacts::{c_library::install::Install, sources::Sources},
    cache::{Artifact, Inputs, Made, Recipe, Work},
    roots::QEMU_ROOT,
    run::{SOURCE, WORK, output_of},
};
use anyhow::Result;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) use self::install::SONAME;

/// The kind of the library.
pub(crate) const KIND: &str = "c-library";

/// The library, with header and pkg-config file, in a directory to mount at [`WORK`].
pub(crate) fn c_library() -> Recipe {
    let shared = format!("work/lib/{SONAME}");
    let files = ["work/include/papr_unplug.h", "work/lib/pkgconfig/papr-unplug.pc", &shared];
    let recipe = Recipe::new(KIND, "C library", make).parts([QEMU_ROOT.recipe()]).read(|inputs, settings| {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = output_of(Command::new(rustc).arg("-vV").current_dir(&settings.checkout))?;
        sources(&settings.checkout)?.add_to(interface(inputs.text("rustc", version), &settings.checkout)?)
    });
    files.iter().fold(recipe, |recipe, file| recipe.file(*file))
}

/// Returns the directory to mount.
pub(crate) fn mounted(library: &Artifact) -> PathBuf {
    library.path("work")
}

/// Returns the path of the shared library.
pub(crate) fn shared(library: &Artifact) -> PathBuf {
    mounted(library).join("lib").join(SONAME)
}

/// Adds what a program that is linked against the library depends on, apart from the library's code.
pub(crate) fn interface(inputs: Inputs, checkout: &Path) -> Result<Inputs> {
    let files = [install::MAP, "include/papr_unplug.h", "papr-unplug.pc.in"];
    files.iter().try_fold(inputs.text("soname", SONAME), |inputs, file| {
        inputs.file(*file, &checkout.join(install::SOURCES).join(file))
    })
}

fn make(work: &Work<'_>) -> Result<Made> {
    let (prefix, destdir) = (PathBuf::from(WORK), Some(work.dir.to_path_buf()));
    let checkout = &work.settings.checkout;
    install::run(checkout, &work.log, &Install { prefix, libdir: "lib".into(), destdir, is_static: true })?;

    let inside = Path::new(WORK).join("lib");
    let map = Path::new(SOURCE).join(install::MAP);
    let words = install::shared_library(&map, &inside.join(install::STATIC), &inside.join(SONAME));
    let capi = checkout.join(install::SOURCES);
    let sandbox = QEMU_ROOT.sandbox(work).bind_read_only(&capi, SOURCE).bind(&work.path("work"), WORK);
    work.log.run("linking the shared library", sandbox.command(["gcc"]).args(words))?;
    // QEMU must load the shared one, which can be replaced without a build of QEMU.
    let lib = work.path("work/lib");
    fs::remove_file(lib.join(install::STATIC))?;
    symlink(SONAME, lib.join(install::LINK_NAME))?;
    Ok(Made::default())
}

/// Returns the files that the library is compiled from.
fn sources(checkout: &Path) -> Result<Sources> {
    let manifests = ["", "host-vmm/", "host-vmm/capi/", "spec/wire/"].map(|room| format!("{room}Cargo.toml"));
    let files: Vec<&str> = manifests.iter().map(String::as_str).chain(["Cargo.lock"]).collect();
    ["host-vmm/src", "host-vmm/capi/src", "spec/wire/src"]
        .iter()
        .try_fold(Sources::new(checkout, &files), |sources, dir| sources.with(dir, |_| true))
}
