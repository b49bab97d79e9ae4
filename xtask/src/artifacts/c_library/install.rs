// SPDX-License-Identifier: MIT OR Apache-2.0

//! Build and installation of the C library, with its header and pkg-config file.

use crate::run::Log;
use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// The name that programs load the library by. Its number goes up with every incompatible change.
pub(crate) const SONAME: &str = "libpapr_unplug.so.0";

/// The name that the linker finds by `-lpapr_unplug`.
pub(crate) const LINK_NAME: &str = "libpapr_unplug.so";

/// The name of the static library.
pub(crate) const STATIC: &str = "libpapr_unplug.a";

/// The version script of the linker, in [`SOURCES`].
pub(crate) const MAP: &str = "papr_unplug.map";

/// The C library's directory, below the checkout.
pub(crate) const SOURCES: &str = "host-vmm/capi";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The libraries that Rust's standard library needs, as `rustc --print native-static-libs` prints for Linux with glibc.
const SYSTEM: [&str; 5] = ["-lgcc_s", "-lpthread", "-lm", "-ldl", "-lc"];

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
    /// Returns the path that something below the prefix is written to.
    fn place(&self, below: &Path) -> PathBuf {
        let installed = self.prefix.join(below);
        match &self.destdir {
            None => installed,
            Some(dir) => dir.join(installed.strip_prefix("/").unwrap_or(&installed)),
        }
    }
}

/// Builds the library and installs it.
pub(crate) fn run(checkout: &Path, log: &Log, install: &Install) -> Result<()> {
    ensure!(install.prefix.is_absolute(), "the prefix {} is not an absolute path", install.prefix.display());
    let library = checkout.join(SOURCES);
    let libdir = install.place(&install.libdir);
    let (headers, pkgconfig) = (install.place(Path::new("include")), libdir.join("pkgconfig"));
    for dir in [&headers, &pkgconfig] {
        fs::create_dir_all(dir).with_context(|| {
            format!("cannot make {}; choose another place with --prefix or --destdir", dir.display())
        })?;
    }
    let built = build(checkout, log)?;
    copy(&built, &libdir.join(STATIC))?;
    copy(&library.join("include/papr_unplug.h"), &headers.join("papr_unplug.h"))?;
    if !install.is_static {
        link_shared(log, &library, &built, &libdir)?;
    }
    let template = library.join("papr-unplug.pc.in");
    let template = fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let file = pkgconfig.join("papr-unplug.pc");
    fs::write(&file, pc(&template, install)).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the static library, as cargo has built it.
fn build(checkout: &Path, log: &Log) -> Result<PathBuf> {
    let target = checkout.join("target/install");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--package", "papr-unplug-capi", "--lib", "--profile", "dist", "--target-dir"]);
    log.run("building the C library", cargo.arg(&target).current_dir(checkout))?;
    Ok(target.join("dist/libpapr_unplug_capi.a"))
}

/// Links the shared library from the static one.
fn link_shared(log: &Log, library: &Path, archive: &Path, libdir: &Path) -> Result<()> {
    let file = format!("{LINK_NAME}.{VERSION}");
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(shared_library(&library.join(MAP), archive, &libdir.join(&file)));
    log.run("linking the shared library", &mut cc).context("a C compiler links it: `cc`, or what CC names")?;
    for (link, to) in [(SONAME, file.as_str()), (LINK_NAME, SONAME)] {
        let link = libdir.join(link);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link).with_context(|| format!("cannot replace {}", link.display()))?;
        }
        symlink(to, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

/// Returns the arguments by which a C compiler links the shared library. rustc would use a version script without
/// versions.
pub(crate) fn shared_library(map: &Path, archive: &Path, library: &Path) -> Vec<String> {
    let [map, archive, library] = [map, archive, library].map(|path| path.display().to_string());
    let (soname, map) = (format!("-Wl,-soname,{SONAME}"), format!("-Wl,--version-script={map}"));
    let inputs = ["-shared", "-o", &library, &soname, &map, "-Wl,--whole-archive", &archive, "-Wl,--no-whole-archive"];
    let flags = ["-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,-z,defs", "-Wl,-z,relro", "-Wl,-z,now"];
    inputs.into_iter().chain(flags).chain(SYSTEM).map(str::to_owned).collect()
}

/// Returns the pkg-config file. Programs that link the static library link the system's libraries, too: all of them do
/// if there is no shared one.
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

    const TEMPLATE: &str = include_str!("../../../../host-vmm/capi/papr-unplug.pc.in");

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
