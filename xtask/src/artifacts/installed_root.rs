// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Debian whose dpkg knows what is installed in it, so that packages can be tried there.
//!
//! Its own packages were unpacked without their scripts, and count as configured. What is tried is installed by dpkg, with
//! its scripts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::root::{SUITE as TOOLS, unpack};
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::apt::{Apt, newer_first};
use crate::run::step::{Log, output_of};
use crate::settings::Settings;

/// Whose Debian it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstalledRoot {
    /// A pseries guest's, with the headers of one kernel, for which DKMS builds modules; those of a newer one are at hand.
    Guest,
    /// A host's, of this machine's architecture.
    Host,
}

/// Debian 12.
const SUITE: &str = "bookworm";

/// What this Debian's packages unpack through, and an installer has made before: links to the same below `/usr`.
const LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What it says of itself beside its files.
const DPKG: &str = "var/lib/dpkg";

impl InstalledRoot {
    /// The root's directory, in the artifact.
    pub(crate) const TREE: &str = "tree";
    /// Packages that are at hand and not installed, in the artifact.
    pub(crate) const MORE: &str = "more";
    /// The directory with the program by which this machine runs a guest's programs, in the artifact.
    pub(crate) const EMULATOR: &str = "emulator";
    /// That program.
    pub(crate) const PROGRAM: &str = "qemu-ppc64le";

    fn machine(self) -> Result<&'static str> {
        match self {
            Self::Guest => Ok("ppc64el"),
            Self::Host => Ok(host::arch()?.debian),
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Guest => &["?essential", "dkms", "mount"],
            Self::Host => &["?essential", "libgcc-s1", "pkgconf"],
        }
    }
}

impl Recipe for InstalledRoot {
    fn kind(&self) -> &'static str {
        "installed-root"
    }

    fn title(&self) -> String {
        match self {
            Self::Guest => "a guest's Debian, to try packages in".to_owned(),
            Self::Host => "a host's Debian, to try packages in".to_owned(),
        }
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("machine", self.machine()?).text("suite", SUITE);
        Ok(inputs.text("packages", self.packages().join(" ")).text("registered", "2"))
    }

    fn needs(&self) -> u64 {
        1500
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        host::require_tools(&store.progress)?;
        let mut log = Log::begin(store, "installed-root")?;
        let state = dir.join("apt");
        let apt = Apt::of_machine(store, &mut log, state.clone(), self.machine()?, &[SUITE])?;
        let headers = if *self == Self::Guest { headers(&apt)? } else { Vec::new() };
        let mut packages = self.packages().to_vec();
        packages.extend(headers.first().map(String::as_str));
        let debs = apt.fetch_closure(store, &mut log, &packages)?;
        let (tree, more) = (dir.join(Self::TREE), dir.join(Self::MORE));
        for link in LINKS {
            fs::create_dir_all(tree.join("usr").join(link))?;
            symlink(Path::new("usr").join(link), tree.join(link))?;
        }
        unpack(store, &log, &debs, &tree)?;
        register(&debs, &tree)?;
        let mut made = Made { trees: vec![Self::TREE.into(), Self::MORE.into()], ..Made::default() };
        fs::create_dir(&more)?;
        if *self == Self::Guest {
            packages.extend(headers.iter().map(String::as_str));
            let all = apt.fetch_closure(store, &mut log, &packages)?;
            for deb in all.iter().filter(|deb| !debs.contains(deb)) {
                fs::copy(deb, more.join(deb.file_name().unwrap_or_default()))?;
            }
            emulator(store, &mut log, &dir.join(Self::EMULATOR))?;
            made.trees.push(Self::EMULATOR.into());
        }
        fs::remove_dir_all(&state)?;
        Ok(made)
    }
}

/// The headers of the two newest kernels, the older one first.
fn headers(apt: &Apt) -> Result<Vec<String>> {
    let mut headers = apt.versions("^linux-headers-[0-9].*-powerpc64le$")?;
    headers.sort_by(|(_, a), (_, b)| newer_first(a, b));
    let mut names: Vec<String> = headers.into_iter().map(|(name, _)| name).collect();
    names.dedup();
    names.truncate(2);
    names.reverse();
    anyhow::ensure!(names.len() == 2, "{SUITE} has no two kernels for ppc64el to upgrade between");
    Ok(names)
}

/// What runs a guest's programs on this machine.
fn emulator(store: &Store, log: &mut Log, into: &Path) -> Result<()> {
    let state = into.with_extension("apt");
    let native = host::arch()?.debian;
    let apt = Apt::new(store, log, state.clone(), &[(TOOLS, native)])?;
    apt.fetch_only(store, log, &[format!("qemu-user:{native}")], &state)?;
    let unpacked = state.join("unpacked");
    let deb = crate::artifacts::linux_source::only_deb(&state, "qemu-user_")?;
    let mut unpack = Command::new("dpkg-deb");
    log.run(store, "unpacking packages", unpack.arg("-x").arg(state.join(deb)).arg(&unpacked))?;
    fs::create_dir(into)?;
    fs::copy(unpacked.join("usr/bin").join(InstalledRoot::PROGRAM), into.join(InstalledRoot::PROGRAM))
        .context("qemu-user has no such program")?;
    fs::remove_dir_all(state).map_err(Into::into)
}

/// Tells dpkg of the packages that were unpacked.
fn register(debs: &[PathBuf], tree: &Path) -> Result<()> {
    let info = tree.join(DPKG).join("info");
    for dir in ["info", "updates", "triggers", "parts"] {
        fs::create_dir_all(tree.join(DPKG).join(dir))?;
    }
    let mut status = String::new();
    for deb in debs {
        let control = output_of(Command::new("dpkg-deb").arg("-f").arg(deb))?;
        status += &installed(&control).with_context(|| format!("{} has an odd control file", deb.display()))?;
        let list =
            output_of(Command::new("sh").args(["-c", "dpkg-deb --fsys-tarfile \"$1\" | tar -t", "sh"]).arg(deb))?;
        fs::write(info.join(known_as(&control) + ".list"), listed(&list))?;
    }
    fs::write(tree.join(DPKG).join("status"), status)?;
    fs::write(tree.join(DPKG).join("available"), "")?;
    // What their scripts would have set up, as far as it is missed.
    symlink("mawk", tree.join("usr/bin/awk"))?;
    for name in ["passwd", "group"] {
        let master = tree.join("usr/share/base-passwd").join(format!("{name}.master"));
        fs::copy(master, tree.join("etc").join(name)).with_context(|| format!("cannot write etc/{name}"))?;
    }
    Ok(())
}

/// A package's entry in dpkg's status.
fn installed(control: &str) -> Option<String> {
    let (first, rest) = control.split_once('\n')?;
    first.strip_prefix("Package: ")?;
    Some(format!("{first}\nStatus: install ok installed\n{}\n\n", rest.trim_end()))
}

/// The name by which dpkg keeps the records of a package.
fn known_as(control: &str) -> String {
    let field = |name: &str| control.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    match field("Multi-Arch: ") {
        "same" => format!("{}:{}", field("Package: "), field("Architecture: ")),
        _ => field("Package: ").to_owned(),
    }
}

/// The files of a package, as dpkg lists them, from what tar lists.
fn listed(tar: &str) -> String {
    let paths = tar.lines().map(|line| line.trim_start_matches('.').trim_end_matches('/'));
    paths.map(|path| if path.is_empty() { "/.\n".to_owned() } else { format!("{path}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_is_registered_as_dpkg_does_it() {
        let control = "Package: libc6\nArchitecture: ppc64el\nMulti-Arch: same\nVersion: 2.41-12\n";
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: ppc64el\nMulti-Arch: same\nVersion: 2.41-12\n\n";
        assert_eq!(installed(control).as_deref(), Some(status));
        assert_eq!(known_as(control), "libc6:ppc64el");
        assert_eq!(known_as("Package: dkms\nArchitecture: all\n"), "dkms");
        assert_eq!(listed("./\n./usr/\n./usr/bin/a\n"), "/.\n/usr\n/usr/bin/a\n");
    }
}
