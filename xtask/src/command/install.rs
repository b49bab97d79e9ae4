// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask install`: the C library where a VMM's build finds it.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cache::store::Store;
use crate::run::step::Log;

/// Goes up when a program that was linked against the library no longer runs with it.
pub(crate) const SONAME: &str = "libpapr_unplug.so.0";

/// What the linker finds by `-lpapr_unplug`.
pub(crate) const LINK_NAME: &str = "libpapr_unplug.so";

pub(crate) const STATIC: &str = "libpapr_unplug.a";

/// The versions of its symbols, in the C library's directory.
pub(crate) const MAP: &str = "papr_unplug.map";

/// The C library's directory, below the checkout.
pub(crate) const SOURCES: &str = "host-vmm/capi";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What Rust's standard library needs of the system, as `rustc --print native-static-libs` says for Linux with glibc.
const SYSTEM: [&str; 5] = ["-lgcc_s", "-lpthread", "-lm", "-ldl", "-lc"];

/// Which files go where.
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// Where the library is looked for when it is used.
    #[arg(long, default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// The libraries' directory, below the prefix.
    #[arg(long, default_value = "lib")]
    pub(crate) libdir: PathBuf,
    /// Put in front of the prefix for now, as packagers do.
    #[arg(long)]
    pub(crate) destdir: Option<PathBuf>,
    /// Install no shared library, so that `-lpapr_unplug` is the static one.
    #[arg(long = "static")]
    pub(crate) is_static: bool,
}

impl Install {
    /// Where something below the prefix is written.
    fn place(&self, below: &Path) -> PathBuf {
        let installed = self.prefix.join(below);
        match &self.destdir {
            None => installed,
            Some(dir) => dir.join(installed.strip_prefix("/").unwrap_or(&installed)),
        }
    }
}

/// Builds the library and installs it.
pub(crate) fn run(store: &Store, install: &Install) -> Result<()> {
    ensure!(install.prefix.is_absolute(), "the prefix {} is not an absolute path", install.prefix.display());
    into(store, &mut Log::begin(store, "install")?, install)?;
    let found = install.prefix.join(&install.libdir).join("pkgconfig");
    store.progress.say(format!("    pkg-config finds papr-unplug with PKG_CONFIG_PATH={}", found.display()));
    Ok(())
}

/// The same, as a step of something larger.
pub(crate) fn into(store: &Store, log: &mut Log, install: &Install) -> Result<()> {
    let library = store.settings.checkout.join(SOURCES);
    let libdir = install.place(&install.libdir);
    let (headers, pkgconfig) = (install.place(Path::new("include")), libdir.join("pkgconfig"));
    for dir in [&headers, &pkgconfig] {
        fs::create_dir_all(dir).with_context(|| {
            format!("cannot make {}; choose another place with --prefix or --destdir", dir.display())
        })?;
    }
    let built = build(store, log)?;
    copy(&built, &libdir.join(STATIC))?;
    copy(&library.join("include/papr_unplug.h"), &headers.join("papr_unplug.h"))?;
    if !install.is_static {
        link_shared(store, log, &library, &built, &libdir)?;
    }
    let template = library.join("papr-unplug.pc.in");
    let template = fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let file = pkgconfig.join("papr-unplug.pc");
    fs::write(&file, pc(&template, install)).with_context(|| format!("cannot write {}", file.display()))
}

fn build(store: &Store, log: &mut Log) -> Result<PathBuf> {
    let checkout = &store.settings.checkout;
    let target = checkout.join("target/install");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--package", "papr-unplug-capi", "--lib", "--profile", "dist", "--target-dir"]);
    log.run(store, "building the C library", cargo.arg(&target).current_dir(checkout))?;
    Ok(target.join("dist/libpapr_unplug_capi.a"))
}

/// Links the shared library from the static one.
fn link_shared(store: &Store, log: &mut Log, library: &Path, archive: &Path, libdir: &Path) -> Result<()> {
    let file = format!("{LINK_NAME}.{VERSION}");
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(shared_library(&library.join(MAP), archive, &libdir.join(&file)));
    log.run(store, "linking the shared library", &mut cc).context("a C compiler links it: `cc`, or what CC names")?;
    for (link, to) in [(SONAME, file.as_str()), (LINK_NAME, SONAME)] {
        let link = libdir.join(link);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link).with_context(|| format!("cannot replace {}", link.display()))?;
        }
        symlink(to, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

/// What a C compiler is told to link the shared library. rustc would do so with a version script that names no versions.
pub(crate) fn shared_library(map: &Path, archive: &Path, library: &Path) -> Vec<String> {
    let [map, archive, library] = [map, archive, library].map(|path| path.display().to_string());
    let (soname, map) = (format!("-Wl,-soname,{SONAME}"), format!("-Wl,--version-script={map}"));
    let inputs = ["-shared", "-o", &library, &soname, &map, "-Wl,--whole-archive", &archive, "-Wl,--no-whole-archive"];
    let flags = ["-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,-z,defs", "-Wl,-z,relro", "-Wl,-z,now"];
    inputs.into_iter().chain(flags).chain(SYSTEM).map(str::to_owned).collect()
}

/// The pkg-config file. Whoever links the static library links what it needs, too: without a shared one that is everybody.
fn pc(template: &str, install: &Install) -> String {
    let system = SYSTEM.join(" ");
    let (libs, private) = match install.is_static {
        true => (format!("-lpapr_unplug {system}"), String::new()),
        false => ("-lpapr_unplug".to_owned(), system),
    };
    template
        .replace("@prefix@", &install.prefix.display().to_string())
        .replace("@libdir@", &install.libdir.display().to_string())
        .replace("@version@", VERSION)
        .replace("@libs@", &libs)
        .replace("@libs_private@", &private)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../host-vmm/capi/papr-unplug.pc.in");

    fn install(is_static: bool) -> Install {
        Install { prefix: "/usr".into(), libdir: "lib64".into(), destdir: Some("/stage".into()), is_static }
    }

    fn line(file: &str, key: &str) -> String {
        file.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned()
    }

    #[test]
    fn destdir_is_where_files_are_written_and_not_where_they_are_looked_for() {
        assert_eq!(install(false).place(Path::new("include")), Path::new("/stage/usr/include"));
        let file = pc(TEMPLATE, &install(false));
        assert_eq!([line(&file, "prefix="), line(&file, "libdir=")], ["/usr", "${prefix}/lib64"]);
        assert!(!file.contains("/stage") && !file.contains('@'));
    }

    #[test]
    fn system_libraries_are_private_unless_only_the_static_library_is_there() {
        let (both, alone) = (pc(TEMPLATE, &install(false)), pc(TEMPLATE, &install(true)));
        assert_eq!(line(&both, "Libs:"), "-L${libdir} -lpapr_unplug");
        assert_eq!(line(&both, "Libs.private:"), SYSTEM.join(" "));
        assert!(line(&alone, "Libs:").ends_with(&SYSTEM.join(" ")));
        assert_eq!(line(&alone, "Libs.private:"), "");
    }
}
