// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs by which a distribution handles requests for PCI devices, and by which it stacks disks: Debian's `rtas_errd`,
//! `drmgr`, `lsslot` and `dmsetup`, with their libraries, as an archive that a kernel unpacks after an initramfs.

use crate::{
    cache::{Made, Recipe, Work},
    roots::fetch_tree,
};
use anyhow::{Context, Result};
use papr_unplug_tests::cpio::Archive;
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};
use walkdir::WalkDir;

/// The archive in the artifact. It is not compressed, as the initramfs is not.
const FILE: &str = "distribution.cpio";

/// The suite: Debian 13 has no ppc64-diag.
const SUITE: &str = "forky";
const ARCH: &str = "ppc64el";

const PACKAGES: &str = "dmsetup libc6 libcap2 libdevmapper1.02.1 libgcc-s1 libnuma1 libpcre2-8-0 librtas2 librtasevent2 \
                        libselinux1 libservicelog-1.1-1 libsqlite3-0 libudev1 powerpc-ibm-utils ppc64-diag zlib1g";

/// The files of the packages that the archive has: those with one of these names, and shared libraries in
/// [`LIBRARIES`].
const FILES: &[&str] = &[
    "etc/ppc64-diag/ppc64-diag.config",
    "usr/sbin/dmsetup",
    "usr/sbin/drmgr",
    "usr/sbin/lsslot",
    "usr/sbin/rtas_errd",
];

const LIBRARIES: &str = "usr/lib/powerpc64le-linux-gnu";

/// Directories that the programs write to, and those of their files.
const DIRECTORIES: &[&str] = &[
    "etc/ppc64-diag",
    "run",
    "run/lock",
    "usr",
    "usr/lib",
    LIBRARIES,
    "usr/lib64",
    "usr/sbin",
    "var",
    "var/lib",
    "var/lib/servicelog",
    "var/log",
];

/// Links that an installed system has, and what they point to. busybox loads kernel modules.
const LINKS: &[(&str, &str)] = &[
    ("lib64", "usr/lib64"),
    ("sbin", "usr/sbin"),
    ("usr/lib64/ld64.so.2", "../lib/powerpc64le-linux-gnu/ld64.so.2"),
    ("usr/sbin/modprobe", "/bin/busybox"),
    ("var/lock", "/run/lock"),
];

/// The archive.
pub(crate) fn distribution() -> Recipe {
    let links: Vec<String> = LINKS.iter().map(|(name, target)| format!("{name} {target}")).collect();
    Recipe::new("distribution", "Debian's programs for PCI devices", make)
        .text("suite", SUITE)
        .text("arch", ARCH)
        .text("packages", PACKAGES)
        .text("files", FILES.join(" "))
        .text("directories", DIRECTORIES.join(" "))
        .text("links", links.join("\n"))
        .file(FILE)
}

fn make(work: &Work<'_>) -> Result<Made> {
    let packages: Vec<&str> = PACKAGES.split(' ').collect();
    let fetched = fetch_tree(work, SUITE, ARCH, &packages, "tree")?;
    pack(&work.path("tree"), &work.path(FILE))?;
    Ok(packages.iter().zip(fetched).fold(Made::default(), |made, (package, deb)| made.fact(*package, deb)))
}

/// Writes the archive of the files that are wanted of a tree.
fn pack(tree: &Path, to: &Path) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(to)?));
    for name in DIRECTORIES {
        archive.directory(name)?;
    }
    for (name, target) in LINKS {
        archive.link(name, target)?;
    }
    for name in FILES {
        let content = fs::read(tree.join(name)).with_context(|| format!("the packages have no {name}"))?;
        archive.file(name, if name.starts_with("usr/sbin/") { 0o755 } else { 0o644 }, &content)?;
    }
    for entry in WalkDir::new(tree.join(LIBRARIES)).max_depth(1).sort_by_file_name() {
        let entry = entry?;
        let name = format!("{LIBRARIES}/{}", entry.file_name().to_string_lossy());
        if !name.contains(".so") {
            continue;
        } else if entry.path_is_symlink() {
            archive.link(&name, &fs::read_link(entry.path())?.to_string_lossy())?;
        } else if entry.file_type().is_file() {
            archive.file(&name, 0o755, &fs::read(entry.path())?)?;
        }
    }
    archive.finish()?.flush()?;
    Ok(())
}
