// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a harness needs to boot a guest.

pub(crate) mod big_endian;
pub(crate) mod build;
pub(crate) mod busybox;
pub(crate) mod c_library;
pub(crate) mod debian;
pub(crate) mod fault;
pub(crate) mod flavour;
pub(crate) mod initramfs;
pub(crate) mod installed_root;
pub(crate) mod kconfig;
pub(crate) mod kernel;
pub(crate) mod kexec;
pub(crate) mod libvirt;
pub(crate) mod linux_source;
pub(crate) mod linux_tree;
pub(crate) mod module;
pub(crate) mod module_sources;
pub(crate) mod object;
pub(crate) mod patch;
pub(crate) mod qemu;
pub(crate) mod root;
pub(crate) mod untar;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::artifacts::big_endian::BigEndian;
use crate::artifacts::build::Build;
use crate::artifacts::debian::initramfs::DebianInitramfs;
use crate::artifacts::debian::kernel::DebianKernel;
use crate::artifacts::debian::module::DebianModule;
use crate::artifacts::flavour::Flavour;
use crate::artifacts::initramfs::{Initramfs, OwnTreeInitramfs};
use crate::artifacts::installed_root::InstalledRoot;
use crate::artifacts::kernel::Kernel;
use crate::artifacts::libvirt::Libvirt;
use crate::artifacts::module::{Module, OwnTreeModule};
use crate::artifacts::qemu::build::QemuBuild;
use crate::artifacts::qemu::source::Release;
use crate::artifacts::qemu::{OurQemu, Qemu, bundle};
use crate::cache::manifest::Manifest;
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::settings::{KERNEL_TREE, QEMU, QEMU_DATA, Settings};

/// What this checkout makes, but for the parts that it is made from. What is not here, [`clean`] takes for waste.
///
/// [`clean`]: crate::command::clean
pub(crate) fn every(settings: &Settings) -> Vec<Box<dyn Recipe>> {
    let mut recipes: Vec<Box<dyn Recipe>> = vec![
        Box::new(Qemu),
        Box::new(BigEndian),
        Box::new(Libvirt),
        Box::new(InstalledRoot::Guest),
        Box::new(InstalledRoot::Host),
    ];
    for flavour in Flavour::value_variants() {
        recipes.push(Box::new(Initramfs::new(*flavour)));
        if let Some(tree) = &settings.kernel_tree {
            recipes.push(Box::new(OwnTreeInitramfs::new(tree.clone(), *flavour)));
        }
    }
    for kernel in DebianKernel::value_variants() {
        recipes.push(Box::new(DebianInitramfs::new(*kernel)));
    }
    for release in Release::value_variants() {
        recipes.push(Box::new(QemuBuild::stock(*release)));
        recipes.push(Box::new(OurQemu::new(*release)));
    }
    recipes
}

/// Absolute paths of everything, complete and verified, and kept from being replaced while this value lives.
#[derive(Debug, Serialize)]
pub(crate) struct Artifacts {
    /// An ELF kernel for `-kernel`.
    pub(crate) kernel: PathBuf,
    /// A cpio archive for `-initrd`.
    pub(crate) initramfs: PathBuf,
    /// The module for that kernel, which is also in the initramfs.
    pub(crate) module: PathBuf,
    /// The same module with its freestanding face, if it has another one for that kernel; in the initramfs it is in
    /// `/lib/modules/freestanding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module_freestanding: Option<PathBuf>,
    /// An executable `qemu-system-ppc64` that knows nothing of this project.
    pub(crate) qemu_stock: PathBuf,
    /// Its firmware directory, for `-L`.
    pub(crate) qemu_data: PathBuf,
    /// An executable `qemu-system-ppc64` that speaks this project's protocol. There is none where the user brings a QEMU:
    /// then nothing is to be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qemu: Option<PathBuf>,
    #[serde(skip)]
    _held: Vec<Artifact>,
}

impl Artifacts {
    /// Makes what is missing, and gives all of it.
    pub(crate) fn ensure(store: &Store, flavour: Flavour) -> Result<Self> {
        // Making a late one may replace an early one that it shares a part with, so nothing is held until all are there.
        Self::collect(store, flavour)?;
        Self::collect(store, flavour)
    }

    fn collect(store: &Store, flavour: Flavour) -> Result<Self> {
        let settings = &store.settings;
        // What the user has mistyped is to be said before any work.
        let own_qemu = own_qemu(settings)?;
        let mut held = Vec::new();
        let (kernel, module, module_freestanding, initramfs) = if let Some(tree) = &settings.kernel_tree {
            let vmlinux = tree.join("vmlinux");
            ensure!(vmlinux.exists(), "{KERNEL_TREE} names {}, which has no vmlinux in it", tree.display());
            let module = take(store, &mut held, &OwnTreeModule { tree: tree.clone() }, module::FILE)?;
            let initramfs = take(store, &mut held, &OwnTreeInitramfs::new(tree.clone(), flavour), initramfs::FILE)?;
            (vmlinux, module, None, initramfs)
        } else {
            let kernel = take(store, &mut held, &Kernel(flavour), Kernel::IMAGE)?;
            let module = take(store, &mut held, &Module::new(flavour), module::FILE)?;
            let freestanding = (flavour.build() != Build::Standalone)
                .then(|| take(store, &mut held, &Module::standalone(flavour), module::FILE))
                .transpose()?;
            (kernel, module, freestanding, take(store, &mut held, &Initramfs::new(flavour), initramfs::FILE)?)
        };
        let Qemus { stock: qemu_stock, data: qemu_data, ours: qemu } = Qemus::collect(store, own_qemu, &mut held)?;
        Ok(Self { kernel, initramfs, module, module_freestanding, qemu_stock, qemu_data, qemu, _held: held })
    }

    /// The same with one of Debian's kernels, and what is known of that kernel.
    pub(crate) fn of_debian(store: &Store, kernel: DebianKernel) -> Result<(Self, Manifest)> {
        Self::collect_debian(store, kernel)?;
        Self::collect_debian(store, kernel)
    }

    fn collect_debian(store: &Store, kernel: DebianKernel) -> Result<(Self, Manifest)> {
        let own_qemu = own_qemu(&store.settings)?;
        let made = store.ensure(&kernel)?;
        let (image, manifest) = (made.path(DebianKernel::IMAGE), made.manifest.clone());
        let mut held = vec![made];
        let module = take(store, &mut held, &DebianModule(kernel), module::FILE)?;
        let initramfs = take(store, &mut held, &DebianInitramfs::new(kernel), initramfs::FILE)?;
        let Qemus { stock, data, ours } = Qemus::collect(store, own_qemu, &mut held)?;
        let artifacts = Self {
            kernel: image,
            initramfs,
            module,
            module_freestanding: None,
            qemu_stock: stock,
            qemu_data: data,
            qemu: ours,
            _held: held,
        };
        Ok((artifacts, manifest))
    }
}

/// What guests are booted in.
struct Qemus {
    stock: PathBuf,
    data: PathBuf,
    ours: Option<PathBuf>,
}

impl Qemus {
    /// The user's QEMU and nothing else, or ours and a stock one.
    fn collect(store: &Store, own: Option<(PathBuf, PathBuf)>, held: &mut Vec<Artifact>) -> Result<Self> {
        if let Some((stock, data)) = own {
            return Ok(Self { stock, data, ours: None });
        }
        let stock = take(store, held, &Qemu, bundle::PROGRAM)?;
        let data = stock.with_file_name("").join(bundle::DATA);
        let ours = take(store, held, &OurQemu::new(Release::Stable), bundle::PROGRAM)?;
        Ok(Self { stock, data, ours: Some(ours) })
    }
}

/// The user's QEMU and its firmware directory.
fn own_qemu(settings: &Settings) -> Result<Option<(PathBuf, PathBuf)>> {
    let Some(program) = &settings.qemu else { return Ok(None) };
    ensure!(program.is_file(), "{QEMU} names {}, which is no file", program.display());
    let data = match &settings.qemu_data {
        Some(data) if data.join("slof.bin").exists() => data.clone(),
        Some(data) => bail!("{QEMU_DATA} names {}, which has no slof.bin in it", data.display()),
        None => host::qemu_data(program).with_context(|| format!("{QEMU} is set but {QEMU_DATA} is not"))?,
    };
    Ok(Some((program.clone(), data)))
}

fn take(store: &Store, held: &mut Vec<Artifact>, recipe: &dyn Recipe, file: &str) -> Result<PathBuf> {
    let artifact = store.ensure(recipe)?;
    let path = artifact.path(file);
    held.push(artifact);
    Ok(path)
}
