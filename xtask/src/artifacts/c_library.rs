// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C library: its installation, and the one for our QEMU, which is compiled by this machine's cargo and linked in the
//! root that QEMU is built in, so that both use the same glibc.

use crate::{
    artifacts::{cross::ARCHIVE, host::Host, sources::Sources},
    cache::{Artifact, Inputs, Made, Recipe, Work},
    run::{Log, SOURCE, WORK, machine, output_of},
};
use anyhow::Result;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// The C library's directory, below the checkout.
pub(crate) const SOURCES: &str = "host-vmm/capi";

/// The name that programs load the library by.
pub(crate) const SONAME: &str = "libpapr_unplug.so.0";

/// The directories of an installation.
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// The directory below which users find the library
    #[arg(long, default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// The directory of libraries, below the prefix
    #[arg(long, default_value = "lib")]
    pub(crate) libdir: PathBuf,
    /// A directory to write to instead of `/`, as packagers do
    #[arg(long)]
    pub(crate) destdir: Option<PathBuf>,
    /// Install no shared library, so that `-lpapr_unplug` finds the static one
    #[arg(long = "static")]
    pub(crate) is_static: bool,
}

impl Install {
    /// Builds the library, unless there is an `archive` of it, and installs it, by the script that its users can run, too.
    pub(crate) fn run(&self, checkout: &Path, log: &Log, archive: Option<&Path>) -> Result<()> {
        let mut install = Command::new(checkout.join(SOURCES).join("install"));
        install
            .env("PREFIX", &self.prefix)
            .env("LIBDIR", &self.libdir)
            .env("DESTDIR", self.destdir.as_deref().unwrap_or(Path::new("")));
        install.env("STATIC", if self.is_static { "yes" } else { "" }).env("ARCHIVE", archive.unwrap_or(Path::new("")));
        log.run("installing the C library", install.env("CARGO", machine::cargo(checkout).get_program()))
    }
}

/// Returns the kind of the library.
pub(crate) fn kind(host: Host) -> &'static str {
    if host == Host::Own { "c-library" } else { "c-library-ppc64el" }
}

/// The library, with header and pkg-config file, in a directory to mount at [`WORK`].
pub(crate) fn c_library(host: Host) -> Recipe {
    let shared = format!("work/lib/{SONAME}");
    let files = ["work/include/papr_unplug.h", "work/lib/pkgconfig/papr-unplug.pc", &shared];
    let title = if host == Host::Own { "C library" } else { "C library for POWER hosts" };
    let recipe = Recipe::new(kind(host), title, move |work| make(work, host))
        .parts([host.root().recipe()])
        .parts((host == Host::Power).then(|| ARCHIVE.recipe()))
        .read(move |inputs, settings| {
            let installer = settings.checkout.join(SOURCES).join("install");
            let inputs = interface(inputs, &settings.checkout)?.file("install", &installer)?;
            if host == Host::Power {
                return Ok(inputs);
            }
            let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let version = output_of(Command::new(rustc).arg("-vV").current_dir(&settings.checkout))?;
            sources(&settings.checkout)?.add_to(inputs.text("rustc", version))
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
    let mut files = ["papr_unplug.map", "include/papr_unplug.h", "papr-unplug.pc.in"].iter();
    files.try_fold(inputs.text("soname", SONAME), |inputs, file| inputs.file(*file, &checkout.join(SOURCES).join(file)))
}

/// Returns the files that the library is compiled from.
fn sources(checkout: &Path) -> Result<Sources> {
    let manifests = ["Cargo.toml", "host-vmm/Cargo.toml", "host-vmm/capi/Cargo.toml", "spec/wire/Cargo.toml"];
    let files = [manifests.as_slice(), &["Cargo.lock"]].concat();
    let mut directories = ["host-vmm/src", "host-vmm/capi/src", "spec/wire/src"].iter();
    directories.try_fold(Sources::new(checkout, &files), |sources, dir| sources.with(dir, |_| true))
}

fn make(work: &Work<'_>, host: Host) -> Result<Made> {
    let checkout = &work.settings.checkout;
    let destdir = Some(work.dir.to_path_buf());
    let archive = (host == Host::Power).then(|| work.of(ARCHIVE.kind).file());
    let install = Install { prefix: WORK.into(), libdir: "lib".into(), destdir, is_static: true };
    install.run(checkout, &work.log, archive.as_deref())?;

    let lib = work.path("work/lib");
    let sandbox = host.root().sandbox(work).bind_read_only(&checkout.join(SOURCES), SOURCE).bind(&lib, WORK);
    let (script, archive) = (format!("{SOURCE}/install"), format!("{WORK}/libpapr_unplug.a"));
    let compiler = format!("CC={}", host.tool("gcc"));
    let link = ["env", &compiler, &script, "link", &archive, &format!("{WORK}/{SONAME}")];
    work.log.run("linking the shared library", &mut sandbox.command(link))?;
    // QEMU must load the shared one, which can be replaced without a build of QEMU.
    fs::remove_file(lib.join("libpapr_unplug.a"))?;
    symlink(SONAME, lib.join("libpapr_unplug.so"))?;
    Ok(Made::default())
}
