// SPDX-License-Identifier: MIT OR Apache-2.0

//! Artifacts that a harness boots guests from, and what they are made of.

pub(crate) mod busybox;
pub(crate) mod c_library;
pub(crate) mod cross;
pub(crate) mod debian_kernel;
pub(crate) mod distribution;
pub(crate) mod drivers;
pub(crate) mod flavour;
pub(crate) mod guest_kernel;
pub(crate) mod guest_program;
pub(crate) mod host;
pub(crate) mod initramfs;
pub(crate) mod kconfig;
pub(crate) mod kernel;
pub(crate) mod kvm_host;
pub(crate) mod libvirt;
pub(crate) mod linux_source;
pub(crate) mod linux_tree;
pub(crate) mod module;
pub(crate) mod object;
pub(crate) mod patch;
pub(crate) mod qemu;
pub(crate) mod source;
pub(crate) mod sources;
pub(crate) mod workspace;

use crate::{
    artifacts::{
        cross::AGENT,
        debian_kernel::DebianKernel,
        distribution::distribution,
        drivers::drivers,
        flavour::Flavour,
        guest_kernel::GuestKernel,
        guest_program::{HOLD_VFIO, PARSE_EVENT},
        initramfs::initramfs,
        kvm_host::kvm_host,
        libvirt::Libvirt,
        module::Module,
        qemu::{Qemu, bundle},
        source::Release,
    },
    cache::{Artifact, Recipe, Store},
    roots::{BIG_ENDIAN, RPM_ROOT, STABLE_ROOT, installed::InstalledRoot, libvirt::LIBVIRT_ROOT},
    run::machine,
    settings::{KERNEL_TREE, QEMU, QEMU_DATA, Settings},
};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Returns the recipes of all artifacts that commands of this checkout use, but for those that are parts of others.
pub(crate) fn every(settings: &Settings) -> Vec<Recipe> {
    let mut recipes = vec![
        BIG_ENDIAN.recipe(),
        STABLE_ROOT.recipe(),
        distribution(),
        AGENT.recipe(),
        PARSE_EVENT.recipe(),
        HOLD_VFIO.recipe(),
        LIBVIRT_ROOT.recipe(),
        Libvirt::Stock.recipe(),
        Libvirt::Patched.recipe(),
        InstalledRoot::Guest.recipe(),
        InstalledRoot::Bootable.recipe(),
        InstalledRoot::Host.recipe(),
        RPM_ROOT.recipe(),
        kvm_host(DebianKernel::Trixie),
        kvm_host(DebianKernel::Trixie64k),
    ];
    for flavour in Flavour::value_variants() {
        recipes.push(initramfs(&GuestKernel::Ours(*flavour)));
        recipes.push(initramfs(&GuestKernel::chosen(settings, *flavour)));
    }
    for kernel in DebianKernel::value_variants() {
        recipes.push(initramfs(&GuestKernel::Debian(*kernel)));
        recipes.push(drivers(*kernel));
    }
    recipes.extend(Qemu::ALL.map(Qemu::recipe));
    recipes
}

/// Absolute paths by name, as `docs/building.md` lists them. None of the files is replaced while this value lives.
#[derive(Debug, Serialize)]
pub(crate) struct Artifacts {
    #[serde(flatten)]
    paths: BTreeMap<&'static str, PathBuf>,
    #[serde(skip)]
    artifacts: Vec<Artifact>,
}

impl Artifacts {
    /// Returns what guests with the user's kernel are booted from, if there is one, and with ours otherwise.
    pub(crate) fn ensure(store: &Store, flavour: Flavour) -> Result<Self> {
        Self::with(store, &GuestKernel::chosen(&store.settings, flavour))
    }

    /// Returns what guests with this kernel are booted from.
    pub(crate) fn with(store: &Store, kernel: &GuestKernel) -> Result<Self> {
        // Mistakes in the user's settings are reported before any work.
        let own_qemu = own_qemu(&store.settings)?;
        let mut all = Self { paths: BTreeMap::new(), artifacts: Vec::new() };
        if let GuestKernel::Own { tree, .. } = kernel {
            let vmlinux = tree.join("vmlinux");
            ensure!(vmlinux.exists(), "{KERNEL_TREE} names {}, which has no vmlinux in it", tree.display());
            all.paths.insert("kernel", vmlinux);
        }
        let mut made: Vec<_> = kernel.recipe().map(|recipe| ("kernel", recipe)).into_iter().collect();
        made.push(("module", Module::new(kernel).recipe()));
        made.extend(Module::standalone(kernel).map(|module| ("module_standalone", module.recipe())));
        made.push(("initramfs", initramfs(kernel)));
        match own_qemu {
            Some((program, data)) => all.paths.extend([("qemu_stock", program), ("qemu_data", data)]),
            None => {
                made.push(("qemu_stock", Qemu::Debian.recipe()));
                made.push(("qemu", Qemu::Ours(Release::Stable).recipe()));
            }
        }
        all.add(store, &made)?;
        let data = all.paths["qemu_stock"].with_file_name(bundle::DATA);
        all.paths.entry("qemu_data").or_insert(data);
        Ok(all)
    }

    /// Adds the files of recipes under these names.
    fn add(&mut self, store: &Store, recipes: &[(&'static str, Recipe)]) -> Result<()> {
        let made = store.ensure_each(recipes.iter().map(|(_, recipe)| recipe))?;
        self.paths.extend(recipes.iter().zip(&made).map(|((name, _), artifact)| (*name, artifact.file())));
        self.artifacts.extend(made);
        Ok(())
    }

    /// Returns what guests with this kernel are booted from, with programs for PCI devices, the distribution's and ours,
    /// and with the drivers of a distribution's kernel.
    pub(crate) fn with_programs(store: &Store, kernel: &GuestKernel) -> Result<Self> {
        let mut all = Self::with(store, kernel)?;
        let mut recipes = vec![
            ("distribution", distribution()),
            ("agent", AGENT.recipe()),
            ("parse_event", PARSE_EVENT.recipe()),
            ("hold_vfio", HOLD_VFIO.recipe()),
        ];
        if let GuestKernel::Debian(kernel) = kernel {
            recipes.push(("drivers", drivers(*kernel)));
        }
        all.add(store, &recipes)?;
        Ok(all)
    }

    /// Adds what guests under KVM take, in a host with this kernel.
    pub(crate) fn add_kvm(&mut self, store: &Store, kernel: DebianKernel) -> Result<()> {
        ensure!(self.has_our_qemu(), "{QEMU} is set: guests under KVM take the QEMUs that are built here");
        self.add(
            store,
            &[
                ("kvm_kernel", kernel.recipe()),
                ("kvm_initramfs", kvm_host(kernel)),
                ("kvm_qemu_stock", Qemu::DebianOnPower.recipe()),
                ("kvm_qemu", Qemu::OursOnPower.recipe()),
            ],
        )
    }

    /// Writes the file by which tests find the artifacts, in `target`, and returns its path.
    pub(crate) fn write(&self, settings: &Settings, name: &str) -> Result<PathBuf> {
        let file = settings.checkout.join("target").join(name);
        fs::create_dir_all(file.with_file_name(""))?;
        fs::write(&file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Returns the paths as the harness of the tests takes them.
    pub(crate) fn for_harness(&self) -> Result<papr_unplug_tests::artifacts::Artifacts> {
        Ok(serde_json::from_value(serde_json::to_value(self)?)?)
    }

    /// Returns the artifact of this kind, if it is among these.
    pub(crate) fn of(&self, kind: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.manifest.kind == kind)
    }

    /// Returns whether there is a QEMU that has this project's protocol. There is none where the user brings a QEMU.
    pub(crate) fn has_our_qemu(&self) -> bool {
        self.paths.contains_key("qemu")
    }

    /// Returns a line for each path.
    pub(crate) fn listing(&self) -> String {
        self.paths.iter().map(|(name, path)| format!("{name:<17} {}\n", path.display())).collect()
    }
}

/// Returns the user's QEMU and its firmware directory; `None` if the user brings none.
fn own_qemu(settings: &Settings) -> Result<Option<(PathBuf, PathBuf)>> {
    let Some(program) = &settings.qemu else { return Ok(None) };
    ensure!(program.is_file(), "{QEMU} names {}, which is no file", program.display());
    let has_firmware = |data: &Path| data.join("slof.bin").exists();
    let data = match &settings.qemu_data {
        Some(data) if has_firmware(data) => data.clone(),
        Some(data) => bail!("{QEMU_DATA} names {}, which has no slof.bin in it", data.display()),
        None => machine::qemu_data(program).with_context(|| format!("{QEMU} is set but {QEMU_DATA} is not"))?,
    };
    Ok(Some((program.clone(), data)))
}
