// SPDX-License-Identifier: MIT OR Apache-2.0

//! RPM packages of the module, the programs and the library.

use crate::{
    artifacts::cross::AGENT,
    command::package::{
        DKMS, PROGRAM, VERSION,
        rpm::{self, From, Rpm},
        stages::Stages,
    },
};
use anyhow::{Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The architecture of guests.
const GUEST: &str = "ppc64le";

/// Packages of the module that need macros which no Debian has: a macro that tells the distribution, and the beginning
/// of the name of a package that the stand-ins make there.
pub(super) const ELSEWHERE: [(&str, &str, &str); 3] = [
    ("papr-unplug-kmod", "fedora 44", "kmod-papr-unplug-"),
    ("papr-unplug-kmp", "rhel 9", "papr-unplug-kmp-default"),
    ("papr-unplug-kmp", "suse_version 1500", "papr-unplug-kmp-default"),
];

/// Makes all packages.
pub(super) fn all(stages: &Stages<'_>, rpm: &Rpm) -> Result<Vec<PathBuf>> {
    let mut made = dkms(stages, rpm, VERSION)?;
    made.extend(staged(stages, rpm, AGENT.file, GUEST, &stages.agent()?)?);
    let stage = stages.program()?;
    stages.library(Path::new("lib64"), &stage)?;
    // rpm has the names of uname, but one.
    let machine = if env::consts::ARCH == "powerpc64" { GUEST } else { env::consts::ARCH };
    made.extend(staged(stages, rpm, PROGRAM, machine, &stage)?);
    Ok(made)
}

/// Makes the packages of the module.
pub(super) fn dkms(stages: &Stages<'_>, rpm: &Rpm, version: &str) -> Result<Vec<PathBuf>> {
    let archive = module_source(stages, version)?;
    rpm.build(stages, DKMS, GUEST, From::Archive(&archive), version)
}

/// Returns what rpmlint says about packages, after checking that the spec files for other distributions can be parsed.
pub(super) fn check(stages: &Stages<'_>, rpm: &Rpm, made: &[PathBuf]) -> Result<String> {
    for (spec, distribution, package) in ELSEWHERE {
        let parsed = rpm.parse(stages, spec, distribution)?;
        let is_there = parsed.lines().any(|line| line.starts_with("%package") && line.contains(package));
        ensure!(is_there, "{spec}.spec makes no {package} with {distribution}:\n{parsed}");
    }
    rpm.lint(stages, made, &[PROGRAM, AGENT.file, DKMS])
}

/// Copies the spec files and the module's source into a directory.
pub(super) fn sources(stages: &Stages<'_>, into: &Path) -> Result<()> {
    let archive = module_source(stages, VERSION)?;
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(stages.checkout().join(rpm::SPECS)).arg(into);
    stages.log.run("copying the spec files", &mut copy)?;
    fs::copy(&archive, into.join(archive.file_name().unwrap_or_default())).map(drop).map_err(Into::into)
}

fn staged(stages: &Stages<'_>, rpm: &Rpm, spec: &str, machine: &str, stage: &Path) -> Result<Vec<PathBuf>> {
    stages.lay_out("licences", VERSION, Path::new(""), stage)?;
    rpm.build(stages, spec, machine, From::Stage(stage), VERSION)
}

/// Makes the archive from which packages of the module are built, on any distribution.
fn module_source(stages: &Stages<'_>, version: &str) -> Result<PathBuf> {
    let name = format!("papr-unplug-module-{version}");
    let stage = stages.module_source(&name, version)?;
    let archive = stages.into.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    // Equal files make equal archives.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-C"]).arg(stage);
    stages.log.run("packing the module's source", tar.arg("-czf").arg(&archive).arg(name))?;
    Ok(archive)
}
