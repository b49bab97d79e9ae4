// SPDX-License-Identifier: MIT OR Apache-2.0

//! Artifacts that a VM is made of, by name. No VM boots before all of them are found.

use crate::{cpio::Archive, pairing::Side};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::{
    env,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// Environment variable with the path of the file that lists the [`Artifacts`]; `cargo xtask test` sets it.
pub const VARIABLE: &str = "PAPR_UNPLUG_ARTIFACTS";

/// Absolute paths, as `cargo xtask artifacts --json` prints them.
#[derive(Clone, Debug, Deserialize)]
pub struct Artifacts {
    /// ELF kernel of the guest.
    pub kernel: PathBuf,
    /// Root file system of the guest, with the modules in `/lib/modules`.
    pub initramfs: PathBuf,
    /// The guest module. The initramfs has a copy.
    pub module: PathBuf,
    /// The standalone build of the guest module, if the kernel can load both builds. The initramfs has a copy in
    /// `/lib/modules/standalone`.
    pub module_standalone: Option<PathBuf>,
    /// Stock `qemu-system-ppc64`.
    pub qemu_stock: PathBuf,
    /// Firmware directory of both QEMUs.
    pub qemu_data: PathBuf,
    /// `qemu-system-ppc64` with this project's patches, if there is one.
    pub qemu: Option<PathBuf>,
    /// Modules of a distribution's kernel, as an archive to unpack after the initramfs.
    pub drivers: Option<PathBuf>,
    /// The distribution's programs that handle requests for PCI devices, as an archive to unpack after the initramfs.
    pub distribution: Option<PathBuf>,
    /// `papr-unplug-agent` for guests.
    pub agent: Option<PathBuf>,
    /// Program by which the distribution's librtas reads an event.
    pub parse_event: Option<PathBuf>,
    /// Program that has a PCI function open through VFIO.
    pub hold_vfio: Option<PathBuf>,
    /// Host of guests under KVM; `None` if guests are emulated.
    #[serde(flatten)]
    pub kvm: Option<Kvm>,
}

/// Programs and files of a host of guests under KVM.
#[derive(Clone, Debug, Deserialize)]
pub struct Kvm {
    /// ELF kernel of the host, which has KVM-HV.
    #[serde(rename = "kvm_kernel")]
    pub kernel: PathBuf,
    /// Root file system of the host, with the modules of KVM.
    #[serde(rename = "kvm_initramfs")]
    pub initramfs: PathBuf,
    /// Stock `qemu-system-ppc64` for the host.
    #[serde(rename = "kvm_qemu_stock")]
    pub qemu_stock: PathBuf,
    /// `qemu-system-ppc64` with this project's patches for the host.
    #[serde(rename = "kvm_qemu")]
    pub qemu: PathBuf,
}

impl Kvm {
    /// Returns the host's QEMU program of a side.
    pub fn vmm(&self, side: Side) -> &Path {
        match side {
            Side::Stock => &self.qemu_stock,
            Side::Ours => &self.qemu,
        }
    }
}

impl Artifacts {
    /// Reads the artifacts from the file that [`VARIABLE`] names, or from `target/artifacts.json`.
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

    /// Writes an initramfs to `dir` that also has the guest's kernel and initramfs in `/boot`, for `kexec` to load.
    /// Returns its path.
    pub fn initramfs_with_boot(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join("initramfs.cpio");
        let write = || {
            let mut out = BufWriter::new(File::create(&path)?);
            let initramfs = fs::read(&self.initramfs)?;
            out.write_all(&initramfs)?;
            // The kernel unpacks concatenated archives one after the other.
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

    /// Writes an initramfs to `dir` that also has the distribution's programs, and ours for a distribution. Returns its
    /// path.
    pub fn initramfs_with_distribution(&self, dir: &Path) -> Result<PathBuf> {
        let distribution = self.distribution.as_ref();
        let distribution = distribution.context("the artifacts have no `distribution`: run `cargo xtask pci`")?;
        let path = dir.join("initramfs.cpio");
        let write = || {
            let mut out = File::create(&path)?;
            // The kernel unpacks concatenated archives one after the other.
            for part in [&self.initramfs].into_iter().chain(&self.drivers).chain([distribution]) {
                io::copy(&mut File::open(part)?, &mut out)?;
            }
            let mut archive = Archive::new(out);
            for program in self.agent.iter().chain(&self.parse_event).chain(&self.hold_vfio) {
                let name = program.file_name().unwrap_or_default().to_string_lossy();
                archive.file(&format!("usr/sbin/{name}"), 0o755, &fs::read(program)?)?;
            }
            archive.finish()?.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Returns the QEMU program of a side.
    pub fn vmm(&self, side: Side) -> Result<&Path> {
        match side {
            Side::Stock => Ok(&self.qemu_stock),
            Side::Ours => {
                self.qemu.as_deref().context("the artifacts name no `qemu` that speaks this project's protocol")
            }
        }
    }
}

/// Returns the `target` directory of this workspace, where logs and results go.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target")
}
