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
    run::{Apt, machine, newer_first},
};
use anyhow::{Context, Result};
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// The system that a root stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstalledRoot {
    /// A pseries guest, with the headers of one kernel, for which DKMS builds modules. Those of a newer kernel are in
    /// [`InstalledRoot::MORE`].
    Guest,
    /// A pseries guest with a kernel, systemd and apt. What its users install for a module, but for the compiler, is in
    /// [`InstalledRoot::MORE`].
    Bootable,
    /// A host of this machine's architecture.
    Host,
}

/// Debian 12.
const SUITE: &str = "bookworm";

/// Links to the same names below `/usr`, which an installer makes before it unpacks packages.
const LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Packages that the users of [`InstalledRoot::Bootable`] install.
const LATER: [&str; 2] = ["dkms", "linux-headers-powerpc64le"];

impl InstalledRoot {
    /// The directory of packages that are not installed, in the artifact.
    pub(crate) const MORE: &str = "more";
    /// The directory of [`InstalledRoot::PROGRAM`], in the artifact.
    pub(crate) const EMULATOR: &str = "emulator";
    /// The program by which this machine runs a guest's programs.
    pub(crate) const PROGRAM: &str = "qemu-ppc64le";

    fn machine(self) -> Result<&'static str> {
        Ok(if self == Self::Host { machine::arch()?.debian } else { "ppc64el" })
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Guest => &["?essential", "dkms", "mount", "procps", "rpm"],
            Self::Bootable => {
                &["?essential", "apt", "dpkg-dev", "gcc", "linux-image-powerpc64le", "systemd-sysv", "udev"]
            }
            Self::Host => &["?essential", "apt", "e2fsprogs", "libgcc-s1", "pkgconf", "rpm"],
        }
    }

    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let title = match self {
            Self::Guest => "a guest's Debian, to try packages in",
            Self::Bootable => "a guest's Debian that boots",
            Self::Host => "a host's Debian, to try packages in",
        };
        Recipe::new("installed-root", title, move |work| self.make(work))
            .text("suite", SUITE)
            .text("packages", self.packages().join(" "))
            .text("later", LATER.join(" "))
            .text("registered", "2")
            .read(move |inputs, _| Ok(inputs.text("machine", self.machine()?)))
            .needs(1700)
            .tree("tree")
            .tree(Self::MORE)
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        machine::require_tools(&work.store.progress)?;
        let apt = Apt::new(work.settings, &work.log, work.path("apt"), &[(SUITE, self.machine()?)])?;
        let later = match self {
            Self::Guest => headers(&apt)?,
            Self::Bootable => LATER.map(str::to_owned).to_vec(),
            Self::Host => Vec::new(),
        };
        let mut packages = self.packages().to_vec();
        packages.extend(later.first().filter(|_| self == Self::Guest).map(String::as_str));
        let debs = apt.fetch_closure(&work.log, &packages)?;
        let (tree, more) = (work.mkdir("tree")?, work.mkdir(Self::MORE)?);
        for link in LINKS {
            fs::create_dir_all(tree.join("usr").join(link))?;
            symlink(Path::new("usr").join(link), tree.join(link))?;
        }
        unpack(&work.log, &debs, &tree)?;
        let dpkg = tree.join("var/lib/dpkg");
        fs::create_dir_all(&dpkg)?;
        let mut register = Command::new("sh");
        register.args(["-ec", REGISTER, "sh"]).args(&debs).current_dir(dpkg);
        work.log.run("registering the packages", &mut register)?;
        packages.extend(later.iter().map(String::as_str));
        let all = apt.fetch_closure(&work.log, &packages)?;
        for deb in all.iter().filter(|deb| !debs.contains(deb)) {
            fs::copy(deb, more.join(deb.file_name().unwrap_or_default()))?;
        }
        if self != Self::Guest {
            return Ok(Made::default());
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

/// Records in the files below the current directory, dpkg's, that packages are installed, and does the part of what their
/// scripts set up that the trial needs.
const REGISTER: &str = r#"
mkdir -p info updates triggers parts
: > available
for deb; do
    dpkg-deb -f "$deb" > control
    sed '1a Status: install ok installed' control
    echo
    of() { sed -n "s/^$1: //p" control; }
    name=$(of Package)
    [ "$(of Multi-Arch)" != same ] || name=$name:$(of Architecture)
    dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's,^\.,,; s,/$,,; s,^$,/.,' > "info/$name.list"
done > status
rm control
cd ../../..
ln -s mawk usr/bin/awk
for name in passwd group; do cp "usr/share/base-passwd/$name.master" "etc/$name"; done
"#;
