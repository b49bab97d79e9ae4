// SPDX-License-Identifier: MIT OR Apache-2.0

//! Properties of this machine: architecture, programs and packages, number of jobs.

use crate::{
    run::{
        log::{killed_with_parent, output_of},
        progress::Progress,
    },
    settings::QEMU_DATA,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A processor architecture, in Debian's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arch {
    /// The name, as `dpkg --print-architecture` prints it.
    pub(crate) debian: &'static str,
    /// The directory of libraries below `/usr/lib`.
    pub(crate) triplet: &'static str,
    /// The dynamic loader.
    pub(crate) loader: &'static str,
}

/// The architecture of guests, and of the hosts that run them by KVM.
pub(crate) const POWER: Arch = Arch { debian: "ppc64el", triplet: "powerpc64le-linux-gnu", loader: "/lib64/ld64.so.2" };

const ARCHES: &[(&str, Arch)] = &[
    ("x86_64", Arch { debian: "amd64", triplet: "x86_64-linux-gnu", loader: "/lib64/ld-linux-x86-64.so.2" }),
    ("aarch64", Arch { debian: "arm64", triplet: "aarch64-linux-gnu", loader: "/lib/ld-linux-aarch64.so.1" }),
    ("powerpc64", POWER),
];

/// Returns this machine's architecture, which builds and VMMs run on.
pub(crate) fn arch() -> Result<Arch> {
    let found = ARCHES.iter().find(|(rust, _)| *rust == env::consts::ARCH).map(|(_, arch)| *arch);
    found.with_context(|| {
        let known: Vec<&str> = ARCHES.iter().map(|(_, arch)| arch.debian).collect();
        format!("artifacts are built on {} machines only, and this one is {}", known.join(", "), env::consts::ARCH)
    })
}

/// The files that Debian keeps its archive's keys in; the second name is the newer one.
const KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// Returns the file with the keys of the Debian archive.
pub(crate) fn keyring() -> Result<&'static str> {
    KEYRINGS.iter().find(|path| Path::new(path).exists()).copied().context("debian-archive-keyring is not installed")
}

/// The programs that tests of the C library take, each with the package that has it.
pub(crate) const TEST_TOOLS: &[(&str, &str)] =
    &[("cc", "gcc"), ("readelf", "binutils"), ("pkg-config", "pkgconf"), ("valgrind", "valgrind")];

/// Checks for the programs that building artifacts takes, as [`require`] does.
pub(crate) fn require_tools(progress: &Progress) -> Result<()> {
    ensure!(
        find("apt-get").is_some() && find("dpkg-deb").is_some(),
        "artifacts are made with apt-get and dpkg-deb, so on Debian or a system derived from it"
    );
    let programs = [("bwrap", "bubblewrap"), ("setpriv", "util-linux"), ("tar", "tar")];
    // No program has that name.
    let keyring = keyring().is_err().then_some(("debian-archive-keyring", "debian-archive-keyring"));
    require(progress, &programs.into_iter().chain(keyring).collect::<Vec<_>>())
}

/// Checks for programs. Root installs the packages of those that are missing.
pub(crate) fn require(progress: &Progress, programs: &[(&str, &str)]) -> Result<()> {
    let missing = programs.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package);
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("this machine lacks {packages}, and only root can install it: `sudo apt-get install {packages}`");
    }
    progress.say(format!("==> installing {packages} on this machine, with apt-get"));
    let apt = |words: &[&str]| {
        let mut apt = killed_with_parent("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(words).stdout(std::io::stderr());
        apt.status().is_ok_and(|status| status.success())
    };
    let install = || apt(&[["install", "-y", "-q", "--no-install-recommends"].as_slice(), &missing].concat());
    ensure!(
        install() || (apt(&["update", "-q"]) && install()),
        "could not install {packages}: see above, then try `apt-get update && apt-get install {packages}`"
    );
    Ok(())
}

/// Returns the cargo that runs this program, in the checkout.
pub(crate) fn cargo(checkout: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout);
    cargo
}

/// Looks a program up in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

/// Returns the number of jobs that a build may run at once.
pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the firmware directory of a user's QEMU: the first directory that `-L help` lists and that has `slof.bin`.
pub(crate) fn qemu_data(qemu: &Path) -> Result<PathBuf> {
    let listed = output_of(Command::new(qemu).args(["-L", "help"]))?;
    let dirs = listed.lines().map(Path::new);
    dirs.into_iter()
        .find(|dir| dir.join("slof.bin").exists())
        .map(Path::to_path_buf)
        .with_context(|| format!("{} knows no directory with slof.bin: set {} to one", qemu.display(), QEMU_DATA))
}
