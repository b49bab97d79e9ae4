// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files of the packages, in whichever format they are packed.

use crate::artifacts::{cross::AGENT, object};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The files below the checkout from which a kernel without Rust builds the module.
const SOURCES: [&str; 7] = [
    "Kbuild",
    "Makefile",
    "guest-module/older.h",
    "guest-module/return_probe.c",
    "guest-module/shim.c",
    "guest-module/shim.h",
    "guest-module/entry/standalone.c",
];

/// The program for hosts, and its package.
pub(crate) const PROGRAM: &str = "papr-unplug";

/// A file of a package.
#[derive(Debug)]
pub(crate) struct File {
    /// The path, below the directory that the package's files are laid out in.
    pub(crate) to: PathBuf,
    content: Content,
    mode: u32,
}

/// The content of a file.
#[derive(Debug)]
enum Content {
    Of(PathBuf),
    Text(String),
}

impl File {
    fn new(to: impl AsRef<Path>, from: PathBuf) -> Self {
        Self { to: to.as_ref().to_path_buf(), content: Content::Of(from), mode: 0o644 }
    }

    fn program(to: impl AsRef<Path>, from: &Path) -> Self {
        Self { mode: 0o755, ..Self::new(to, from.to_path_buf()) }
    }

    /// Returns the file in the directory `dir` of the package.
    fn below(self, dir: impl AsRef<Path>) -> Self {
        Self { to: dir.as_ref().join(self.to), ..self }
    }
}

/// Returns the sources of the module for DKMS and other builds without Rust. `object` is the module's Rust.
pub(crate) fn module_sources(checkout: &Path, object: &Path, version: &str) -> Result<Vec<File>> {
    let mut files: Vec<File> = SOURCES.iter().map(|source| File::new(source, checkout.join(source))).collect();
    files.push(File::new(Path::new("guest-module").join(object::FILE), object.to_path_buf()));
    let conf = checkout.join("packaging/dkms/dkms.conf");
    let conf = fs::read_to_string(&conf).with_context(|| format!("cannot read {}", conf.display()))?;
    let content = Content::Text(conf.replace("@version@", version));
    files.push(File { to: "dkms.conf".into(), content, mode: 0o644 });
    Ok(files)
}

/// Returns the file that has the module loaded at boot.
pub(crate) fn modules_load(checkout: &Path, to: &str) -> File {
    File::new(to, checkout.join("packaging/dkms/modules-load.conf"))
}

/// Returns the files of the module's DKMS package.
pub(crate) fn dkms(checkout: &Path, object: &Path, version: &str) -> Result<Vec<File>> {
    let sources = module_sources(checkout, object, version)?.into_iter();
    let mut files: Vec<File> = sources.map(|file| file.below(format!("usr/src/papr-unplug-{version}"))).collect();
    files.push(modules_load(checkout, "usr/lib/modules-load.d/papr-unplug.conf"));
    Ok(files)
}

/// Returns the files of the agent's package.
pub(crate) fn agent(checkout: &Path, program: &Path) -> Vec<File> {
    let page = "papr-unplug-agent.8";
    let own = |name: &str| checkout.join("packaging/agent").join(name);
    let (unit, drop_in) = ("papr-unplug-agent.service", "rtas_errd.service.d/papr-unplug.conf");
    vec![
        File::program(Path::new("usr/sbin").join(AGENT.program), program),
        File::new(unit, own(unit)).below("usr/lib/systemd/system"),
        File::new(drop_in, own("rtas_errd.conf")).below("usr/lib/systemd/system"),
        File::new(page, checkout.join("agent/man").join(page)).below("usr/share/man/man8"),
    ]
}

/// Returns the files of the program's package.
pub(crate) fn program(checkout: &Path, program: &Path) -> Result<Vec<File>> {
    let mut files = vec![File::program(Path::new("usr/bin").join(PROGRAM), program)];
    for page in fs::read_dir(checkout.join("cli/man"))? {
        let page = page?;
        files.push(File::new(page.file_name(), page.path()).below("usr/share/man/man1"));
    }
    Ok(files)
}

/// Returns the texts of licences.
pub(crate) fn licences(checkout: &Path, names: &[&str]) -> Vec<File> {
    let files = names.iter().map(|name| Path::new("LICENSES").join(format!("{name}.txt")));
    files.map(|file| File::new(&file, checkout.join(&file))).collect()
}

/// Writes files into a directory.
pub(crate) fn lay_out(files: &[File], dir: &Path) -> Result<()> {
    for file in files {
        let to = dir.join(&file.to);
        match &file.content {
            Content::Text(text) => put(&to, text, file.mode)?,
            Content::Of(from) => {
                let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
                put(&to, content, file.mode)?;
            }
        }
    }
    Ok(())
}

/// Writes a file, and makes its directories.
pub(crate) fn put(to: &Path, text: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let dir = to.parent().context("a file without a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(Into::into)
}
