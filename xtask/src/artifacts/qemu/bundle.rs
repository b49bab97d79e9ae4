// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU with its loader, libraries and firmware beside it, so that it runs on any host of its architecture.

use crate::{
    artifacts::host::Host,
    cache::{Artifact, Made},
    run::{Sandbox, WORK, output_of},
};
use anyhow::{Context, Result};
use papr_unplug_differential::program::Program;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use walkdir::WalkDir;

/// The program to execute: [`WRAPPER`].
pub(crate) const PROGRAM: &str = "qemu-system-ppc64";

/// The firmware directory.
pub(crate) const DATA: &str = "share/qemu";

/// The program that [`PROGRAM`] executes.
pub(crate) const BINARY: &str = "lib/qemu-system-ppc64";

/// A script that runs QEMU by the loader and with the libraries that it was built with, wherever the directory is.
pub(crate) const WRAPPER: &str = r#"#!/bin/sh
# Debian's qemu-system-ppc64 with its own loader, libraries and firmware, made by `cargo xtask artifacts`
here=$(dirname -- "$(readlink -f -- "$0")")
export QEMU_MODULE_DIR="$here/lib/qemu"
exec "$here/lib/ld.so" --library-path "$here/lib" --argv0 "$0" "$here/lib/qemu-system-ppc64" -L "$here/share/qemu" "$@"
"#;

/// The program in a root by which this machine runs programs of POWER hosts.
const EMULATOR: &str = "qemu-ppc64le";

/// Completes `dir`, which has [`BINARY`] for these hosts in it, by the libraries `own`, and by the loader, libraries and
/// firmware of a root.
pub(crate) fn complete(tree: &Path, host: Host, dir: &Path, own: &[PathBuf]) -> Result<Made> {
    let lib = dir.join("lib");
    let loader = host.arch()?.loader;
    copy(&in_tree(tree, loader), &lib.join("ld.so"))?;
    for library in own {
        copy(library, &lib.join(library.file_name().context("a library without a name")?))?;
    }
    let binary = format!("{WORK}/{BINARY}");
    let emulator = (host == Host::Power).then_some(EMULATOR);
    let own_path = format!("{WORK}/lib");
    let words = [loader, "--library-path", &own_path, "--list", &binary];
    let list = Sandbox::new(tree).bind_read_only(dir, WORK).command(emulator.into_iter().chain(words));
    for (name, path) in libraries(&output_of(&mut { list })?).filter(|(_, path)| !path.starts_with(WORK)) {
        copy(&in_tree(tree, path), &lib.join(name))?;
    }
    copy_firmware(&tree.join("usr/share/qemu"), tree, &dir.join(DATA))?;
    let program = dir.join(PROGRAM);
    fs::write(&program, WRAPPER)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    whole(host, dir)
}

/// Hands out all that is in `dir`, which is complete.
pub(crate) fn whole(host: Host, dir: &Path) -> Result<Made> {
    let program = dir.join(PROGRAM);
    let mut made = Made::default();
    if host == Host::Own {
        let version = output_of(Command::new(&program).arg("--version"))?;
        made = made.fact("version", version.lines().next().unwrap_or_default());
    }
    for entry in WalkDir::new(dir) {
        let entry = entry?;
        if entry.file_type().is_file() {
            made = made.file(entry.path().strip_prefix(dir)?);
        }
    }
    Ok(made)
}

/// Reads the output of `ld.so --list`, whose lines are `libfoo.so.1 => /lib/x/libfoo.so.1 (0x00007f...)`, as pairs of
/// name and path.
fn libraries(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" => ")?;
        Some((name, rest.split_whitespace().next()?))
    })
}

/// Copies the firmware. Links out of the directory are followed; those of Debian that name files of other packages are
/// left out.
fn copy_firmware(from: &Path, tree: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
            continue;
        }
        let source = match fs::read_link(entry.path()) {
            Ok(link) if link.is_absolute() => in_tree(tree, &link),
            _ => entry.path().to_path_buf(),
        };
        if source.exists() {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

fn in_tree(tree: &Path, absolute: impl AsRef<Path>) -> PathBuf {
    tree.join(absolute.as_ref().strip_prefix("/").unwrap_or(absolute.as_ref()))
}

/// Returns a complete QEMU as tests without a guest start it.
pub(crate) fn program(qemu: &Artifact) -> Program {
    Program::new(&qemu.file(), &qemu.path(DATA))
}

/// Copies a file. The error names it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_without_the_vdso_and_the_loader() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f01)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
        assert_eq!(libraries(list).collect::<Vec<_>>(), [("libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1")]);
    }
}
