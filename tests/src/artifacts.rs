// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a VM is made of, by name: nothing boots before all of it is found.

use crate::{cpio::Archive, pairing::Side};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::{
    env,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// The environment variable that names the file of [`Artifacts`]; `cargo xtask test` sets it.
pub const VARIABLE: &str = "PAPR_UNPLUG_ARTIFACTS";

/// Absolute paths, as `cargo xtask artifacts --json` prints them.
#[derive(Clone, Debug, Deserialize)]
pub struct Artifacts {
    /// An ELF kernel of the guest.
    pub kernel: PathBuf,
    /// A root file system for it, with the modules in `/lib/modules`.
    pub initramfs: PathBuf,
    /// The guest module, which is also in the initramfs.
    pub module: PathBuf,
    /// The same with its freestanding face, where the kernel can be shown another one; in the initramfs it is in
    /// `/lib/modules/freestanding`.
    pub module_freestanding: Option<PathBuf>,
    /// A `qemu-system-ppc64` that knows nothing of this project.
    pub qemu_stock: PathBuf,
    /// Its firmware directory.
    pub qemu_data: PathBuf,
    /// A `qemu-system-ppc64` that speaks this project's protocol, once there is one.
    pub qemu: Option<PathBuf>,
}

impl Artifacts {
    /// The artifacts that [`VARIABLE`] names, else those that `target/artifacts.json` does.
    pub fn find() -> Result<Self> {
        let file = env::var_os(VARIABLE).map_or_else(|| target().join("artifacts.json"), PathBuf::from);
        Self::read(&file).with_context(|| {
            format!(
                "no artifacts to boot: run `cargo xtask test`, or `cargo xtask artifacts --json > {}`",
                file.display()
            )
        })
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let artifacts: Self = serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        for path in [&artifacts.kernel, &artifacts.initramfs, &artifacts.module, &artifacts.qemu_stock] {
            ensure!(path.is_file(), "{} names {}, which is no file", file.display(), path.display());
        }
        Ok(artifacts)
    }

    /// Writes an initramfs into `dir` that also has the guest's kernel and initramfs in `/boot`, for `kexec` to load; returns
    /// its path.
    pub fn initramfs_with_boot(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join("initramfs.cpio");
        let write = || {
            let mut out = BufWriter::new(File::create(&path)?);
            let initramfs = fs::read(&self.initramfs)?;
            out.write_all(&initramfs)?;
            // The kernel unpacks one archive after the other.
            let mut archive = Archive::new(out);
            archive.directory("boot")?;
            archive.file("boot/vmlinux", 0o644, &fs::read(&self.kernel)?)?;
            archive.file("boot/initramfs.cpio", 0o644, &initramfs)?;
            archive.finish()?.flush()?;
            Ok::<_, io::Error>(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The program of a VMM.
    pub fn vmm(&self, side: Side) -> Result<&Path> {
        match side {
            Side::Stock => Ok(&self.qemu_stock),
            Side::Ours => {
                self.qemu.as_deref().context("the artifacts name no `qemu` that speaks this project's protocol")
            }
        }
    }
}

/// The `target` directory of this workspace, where logs and results go.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target")
}
