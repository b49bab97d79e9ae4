// SPDX-License-Identifier: MIT OR Apache-2.0

//! Roots in which packages are tried: Debian systems whose dpkg has a record of what is installed.
//!
//! The root's own packages were unpacked without their scripts and are recorded as configured. dpkg or rpm installs the
//! packages on trial with their scripts.

use crate::{
    cache::{Made, Recipe, Work},
    roots::{
        packages::{fetch_tree, unpack},
        root::SUITE as TOOLS,
    },
    run::{Apt, machine, newer_first, output_of},
};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// The system that a root stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstalledRoot {
    /// A pseries guest, with the headers of one kernel, for which DKMS builds modules. Those of a newer kernel are in
    /// [`InstalledRoot::MORE`].
    Guest,
    /// A host of this machine's architecture.
    Host,
}

/// Debian 12.
const SUITE: &str = "bookworm";

/// Links to the same names below `/usr`, which an installer makes before it unpacks packages.
const LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// dpkg's records.
const DPKG: &str = "var/lib/dpkg";

impl InstalledRoot {
    /// The directory of packages that are not installed, in the artifact.
    pub(crate) const MORE: &str = "more";
    /// The directory of [`InstalledRoot::PROGRAM`], in the artifact.
    pub(crate) const EMULATOR: &str = "emulator";
    /// The program by which this machine runs a guest's programs.
    pub(crate) const PROGRAM: &str = "qemu-ppc64le";

    fn machine(self) -> Result<&'static str> {
        Ok(if self == Self::Guest { "ppc64el" } else { machine::arch()?.debian })
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Guest => &["?essential", "dkms", "mount", "procps", "rpm"],
            Self::Host => &["?essential", "libgcc-s1", "pkgconf", "rpm"],
        }
    }

    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let whose = if self == Self::Guest { "guest" } else { "host" };
        Recipe::new("installed-root", format!("a {whose}'s Debian, to try packages in"), move |work| self.make(work))
            .text("suite", SUITE)
            .text("packages", self.packages().join(" "))
            .text("registered", "2")
            .read(move |inputs, _| Ok(inputs.text("machine", self.machine()?)))
            .needs(1500)
            .tree("tree")
            .tree(Self::MORE)
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        machine::require_tools(&work.store.progress)?;
        let apt = Apt::new(work.settings, &work.log, work.path("apt"), &[(SUITE, self.machine()?)])?;
        let headers = if self == Self::Guest { headers(&apt)? } else { Vec::new() };
        let mut packages = self.packages().to_vec();
        packages.extend(headers.first().map(String::as_str));
        let debs = apt.fetch_closure(&work.log, &packages)?;
        let (tree, more) = (work.mkdir("tree")?, work.mkdir(Self::MORE)?);
        for link in LINKS {
            fs::create_dir_all(tree.join("usr").join(link))?;
            symlink(Path::new("usr").join(link), tree.join(link))?;
        }
        unpack(&work.log, &debs, &tree)?;
        register(&debs, &tree)?;
        if self == Self::Host {
            return Ok(Made::default());
        }
        packages.extend(headers.iter().map(String::as_str));
        let all = apt.fetch_closure(&work.log, &packages)?;
        for deb in all.iter().filter(|deb| !debs.contains(deb)) {
            fs::copy(deb, more.join(deb.file_name().unwrap_or_default()))?;
        }
        fetch_tree(work, TOOLS, machine::arch()?.debian, &["qemu-user"], "user")?;
        let emulator = work.mkdir(Self::EMULATOR)?.join(Self::PROGRAM);
        fs::copy(work.path("user/usr/bin").join(Self::PROGRAM), emulator).context("qemu-user has no such program")?;
        Ok(Made::default().tree(Self::EMULATOR))
    }
}

/// Returns the names of the packages with the headers of the two newest kernels, the older one first.
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

/// Records in dpkg's files that these packages are installed.
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
    // The part of what their scripts set up that the trial needs.
    symlink("mawk", tree.join("usr/bin/awk"))?;
    for name in ["passwd", "group"] {
        let master = tree.join("usr/share/base-passwd").join(format!("{name}.master"));
        fs::copy(master, tree.join("etc").join(name)).with_context(|| format!("cannot write etc/{name}"))?;
    }
    Ok(())
}

/// Returns a package's paragraph in dpkg's status file; `None` if the control file does not begin with its name.
fn installed(control: &str) -> Option<String> {
    let (first, rest) = control.split_once('\n')?;
    first.strip_prefix("Package: ")?;
    Some(format!("{first}\nStatus: install ok installed\n{}\n\n", rest.trim_end()))
}

/// Returns the name of a package's files in dpkg's records.
fn known_as(control: &str) -> String {
    let field = |name: &str| control.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    match field("Multi-Arch: ") {
        "same" => format!("{}:{}", field("Package: "), field("Architecture: ")),
        _ => field("Package: ").to_owned(),
    }
}

/// Converts tar's list of a package's files to dpkg's.
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
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: ppc64el\nMulti-Arch: same\n\
                      Version: 2.41-12\n\n";
        assert_eq!(installed(control).as_deref(), Some(status));
        assert_eq!(known_as(control), "libc6:ppc64el");
        assert_eq!(known_as("Package: dkms\nArchitecture: all\n"), "dkms");
        assert_eq!(listed("./\n./usr/\n./usr/bin/a\n"), "/.\n/usr\n/usr/bin/a\n");
    }
}
