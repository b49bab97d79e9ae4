// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's stock `qemu-system-ppc64`, with all it needs beside it, so that it runs on any host of its architecture.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Held, Recipe, Store};
use crate::host;
use crate::settings::Settings;
use crate::work::step::output_of;

/// QEMU as Debian builds it.
#[derive(Debug)]
pub(crate) struct Qemu;

impl Qemu {
    /// What to execute.
    pub(crate) const PROGRAM: &str = "qemu-system-ppc64";

    /// The firmware directory.
    pub(crate) const DATA: &str = "share/qemu";

    const BINARY: &str = "usr/bin/qemu-system-ppc64";
}

/// Runs QEMU through the loader and the libraries it was built with, wherever this directory is.
const WRAPPER: &str = r#"#!/bin/sh
# Debian's qemu-system-ppc64 with its own loader, libraries and firmware, made by `cargo xtask artifacts`
here=$(dirname -- "$(readlink -f -- "$0")")
export QEMU_MODULE_DIR="$here/lib/qemu"
exec "$here/lib/ld.so" --library-path "$here/lib" --argv0 "$0" "$here/lib/qemu-system-ppc64" -L "$here/share/qemu" "$@"
"#;

impl Recipe for Qemu {
    fn kind(&self) -> &'static str {
        "qemu"
    }

    fn title(&self) -> String {
        "stock QEMU".to_owned()
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("wrapper", WRAPPER).text("layout", "1"))
    }

    fn needs(&self) -> u64 {
        120
    }

    fn make(&self, _: &Store, parts: &[Held], dir: &Path) -> Result<Made> {
        let [root] = parts else { unreachable!("one part is declared") };
        let arch = host::arch()?;
        let tree = Root::tree(root);
        let lib = dir.join("lib");
        let modules = lib.join("qemu");
        fs::create_dir_all(&modules)?;
        copy(&in_tree(&tree, arch.loader), &lib.join("ld.so"))?;
        copy(&tree.join(Self::BINARY), &lib.join(Self::PROGRAM))?;
        let list = Root::sandbox(root).command([arch.loader, "--list", &format!("/{}", Self::BINARY)]);
        for (name, path) in libraries(&output_of(&mut { list })?) {
            copy(&in_tree(&tree, path), &lib.join(name))?;
        }
        // The only loadable part that a headless machine without a CPU's help wants; it needs no further library.
        let qtest = tree.join("usr/lib").join(arch.triplet).join("qemu/accel-qtest.so");
        copy(&qtest, &modules.join("accel-qtest.so"))?;
        copy_firmware(&tree.join("usr/share/qemu"), &tree, &dir.join(Self::DATA))?;
        let program = dir.join(Self::PROGRAM);
        fs::write(&program, WRAPPER)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;

        let mut made = Made::default();
        for entry in WalkDir::new(dir) {
            let entry = entry?;
            if entry.file_type().is_file() {
                made.files.push(entry.path().strip_prefix(dir)?.to_path_buf());
            }
        }
        let version = output_of(std::process::Command::new(&program).arg("--version"))?;
        made.fact("version", version.lines().next().unwrap_or_default());
        Ok(made)
    }
}

/// Reads what `ld.so --list` prints: `libfoo.so.1 => /lib/x/libfoo.so.1 (0x00007f...)`.
fn libraries(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" => ")?;
        Some((name, rest.split_whitespace().next()?))
    })
}

/// Copies the firmware, following links out of the directory; Debian's may name files of packages that are not there.
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

fn copy(from: &Path, to: &Path) -> Result<()> {
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
