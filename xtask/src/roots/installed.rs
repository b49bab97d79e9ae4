// SPDX-License-Identifier: MIT OR Apache-2.0

//! Roots in which packages are tried: Debian systems whose dpkg has a record of what is installed.
//!
//! The root's own packages were unpacked without their scripts and are recorded as configured. dpkg or rpm installs the
//! packages on trial with their scripts.

use crate::{
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    roots::{
        packages::{extract, only_deb, unpack},
        root::SUITE as TOOLS,
    },
    run::{
        apt::{Apt, newer_first},
        log::{Log, output_of},
        machine,
    },
    settings::Settings,
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
    /// The root's directory, in the artifact.
    pub(crate) const TREE: &str = "tree";
    /// The directory of packages that are not installed, in the artifact.
    pub(crate) const MORE: &str = "more";
    /// The directory of [`InstalledRoot::PROGRAM`], in the artifact.
    pub(crate) const EMULATOR: &str = "emulator";
    /// The program by which this machine runs a guest's programs.
    pub(crate) const PROGRAM: &str = "qemu-ppc64le";

    fn machine(self) -> Result<&'static str> {
        match self {
            Self::Guest => Ok("ppc64el"),
            Self::Host => Ok(machine::arch()?.debian),
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Guest => &["?essential", "dkms", "mount", "procps", "rpm"],
            Self::Host => &["?essential", "libgcc-s1", "pkgconf", "rpm"],
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

    fn make(&self, store: &Store, _: &Parts, dir: &Path) -> Result<Made> {
        machine::require_tools(&store.progress)?;
        let mut log = store.log("installed-root")?;
        let state = dir.join("apt");
        let apt = Apt::of_machine(&store.settings, &mut log, state.clone(), self.machine()?, &[SUITE])?;
        let headers = if *self == Self::Guest { headers(&apt)? } else { Vec::new() };
        let mut packages = self.packages().to_vec();
        packages.extend(headers.first().map(String::as_str));
        let debs = apt.fetch_closure(&mut log, &packages)?;
        let (tree, more) = (dir.join(Self::TREE), dir.join(Self::MORE));
        for link in LINKS {
            fs::create_dir_all(tree.join("usr").join(link))?;
            symlink(Path::new("usr").join(link), tree.join(link))?;
        }
        unpack(&log, &debs, &tree)?;
        register(&debs, &tree)?;
        let mut made = Made { trees: vec![Self::TREE.into(), Self::MORE.into()], ..Made::default() };
        fs::create_dir(&more)?;
        if *self == Self::Guest {
            packages.extend(headers.iter().map(String::as_str));
            let all = apt.fetch_closure(&mut log, &packages)?;
            for deb in all.iter().filter(|deb| !debs.contains(deb)) {
                fs::copy(deb, more.join(deb.file_name().unwrap_or_default()))?;
            }
            emulator(&store.settings, &mut log, &dir.join(Self::EMULATOR))?;
            made.trees.push(Self::EMULATOR.into());
        }
        fs::remove_dir_all(&state)?;
        Ok(made)
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

/// Fetches the program by which this machine runs a guest's programs.
fn emulator(settings: &Settings, log: &mut Log, into: &Path) -> Result<()> {
    let state = into.with_extension("apt");
    let native = machine::arch()?.debian;
    let apt = Apt::new(settings, log, state.clone(), &[(TOOLS, native)])?;
    apt.fetch_only(log, &[format!("qemu-user:{native}")], &state)?;
    let unpacked = state.join("unpacked");
    extract(log, &state.join(only_deb(&state, "qemu-user_")?), &unpacked)?;
    fs::create_dir(into)?;
    fs::copy(unpacked.join("usr/bin").join(InstalledRoot::PROGRAM), into.join(InstalledRoot::PROGRAM))
        .context("qemu-user has no such program")?;
    fs::remove_dir_all(state).map_err(Into::into)
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
