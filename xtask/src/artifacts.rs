// SPDX-License-Identifier: MIT OR Apache-2.0

//! Artifacts that a harness boots guests from, and what they are made of.

pub(crate) mod agent;
pub(crate) mod build;
pub(crate) mod busybox;
pub(crate) mod c_library;
pub(crate) mod debian_kernel;
pub(crate) mod distribution;
pub(crate) mod drivers;
pub(crate) mod flavour;
pub(crate) mod guest_kernel;
pub(crate) mod guest_program;
pub(crate) mod initramfs;
pub(crate) mod kconfig;
pub(crate) mod kernel;
pub(crate) mod libvirt;
pub(crate) mod linux_source;
pub(crate) mod linux_tree;
pub(crate) mod module;
pub(crate) mod object;
pub(crate) mod patch;
pub(crate) mod qemu;
pub(crate) mod source;
pub(crate) mod sources;

use crate::{
    artifacts::{
        agent::Agent,
        debian_kernel::DebianKernel,
        distribution::Distribution,
        drivers::Drivers,
        flavour::Flavour,
        guest_kernel::GuestKernel,
        guest_program::{HOLD_VFIO, PARSE_EVENT},
        initramfs::Initramfs,
        kernel::Kernel,
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
pub(crate) fn every(settings: &Settings) -> Vec<Box<dyn Recipe>> {
    let mut recipes: Vec<Box<dyn Recipe>> = vec![
        Box::new(BIG_ENDIAN),
        Box::new(STABLE_ROOT),
        Box::new(Distribution),
        Box::new(Agent),
        Box::new(PARSE_EVENT),
        Box::new(HOLD_VFIO),
        Box::new(LIBVIRT_ROOT),
        Box::new(Libvirt::Stock),
        Box::new(Libvirt::Patched),
        Box::new(InstalledRoot::Guest),
        Box::new(InstalledRoot::Host),
        Box::new(RPM_ROOT),
    ];
    for flavour in Flavour::value_variants() {
        recipes.push(Box::new(Initramfs(GuestKernel::Ours(*flavour))));
        recipes.push(Box::new(Initramfs(GuestKernel::chosen(settings, *flavour))));
    }
    for kernel in DebianKernel::value_variants() {
        recipes.push(Box::new(Initramfs(GuestKernel::Debian(*kernel))));
        recipes.push(Box::new(Drivers(*kernel)));
    }
    for qemu in Qemu::ALL {
        recipes.push(Box::new(qemu));
    }
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
        let mut paths = BTreeMap::new();
        let mut made: Vec<(&str, Box<dyn Recipe>, &str)> = Vec::new();
        match kernel {
            GuestKernel::Ours(flavour) => made.push(("kernel", Box::new(Kernel(*flavour)), Kernel::IMAGE)),
            GuestKernel::Debian(kernel) => made.push(("kernel", Box::new(*kernel), DebianKernel::IMAGE)),
            GuestKernel::Own { tree, .. } => {
                let vmlinux = tree.join("vmlinux");
                ensure!(vmlinux.exists(), "{KERNEL_TREE} names {}, which has no vmlinux in it", tree.display());
                paths.insert("kernel", vmlinux);
            }
        }
        let modules = [("module", Some(Module::new(kernel))), ("module_standalone", Module::standalone(kernel))];
        for (name, module) in modules.into_iter().filter_map(|(name, module)| Some((name, module?))) {
            let file = module.file();
            made.push((name, Box::new(module), file));
        }
        made.push(("initramfs", Box::new(Initramfs(kernel.clone())), initramfs::FILE));
        match own_qemu {
            Some((program, data)) => paths.extend([("qemu_stock", program), ("qemu_data", data)]),
            None => {
                made.push(("qemu_stock", Box::new(Qemu::Debian), bundle::PROGRAM));
                made.push(("qemu", Box::new(Qemu::Ours(Release::Stable)), bundle::PROGRAM));
            }
        }
        let recipes: Vec<&dyn Recipe> = made.iter().map(|(_, recipe, _)| recipe.as_ref()).collect();
        let artifacts = store.ensure_each(&recipes)?;
        for ((name, _, file), artifact) in made.iter().zip(&artifacts) {
            paths.insert(*name, artifact.path(file));
        }
        if let (None, Some(program)) = (paths.get("qemu_data"), paths.get("qemu_stock")) {
            paths.insert("qemu_data", program.with_file_name(bundle::DATA));
        }
        Ok(Self { paths, artifacts })
    }

    /// Returns what guests with this kernel are booted from, with programs for PCI devices, the distribution's and ours,
    /// and with the drivers of a distribution's kernel.
    pub(crate) fn with_programs(store: &Store, kernel: &GuestKernel) -> Result<Self> {
        let mut all = Self::with(store, kernel)?;
        let mut parts: Vec<(&dyn Recipe, _, _)> = vec![
            (&Distribution, "distribution", distribution::FILE),
            (&Agent, "agent", Agent::PROGRAM),
            (&PARSE_EVENT, "parse_event", PARSE_EVENT.program),
            (&HOLD_VFIO, "hold_vfio", HOLD_VFIO.program),
        ];
        let drivers = if let GuestKernel::Debian(kernel) = kernel { Some(Drivers(*kernel)) } else { None };
        parts.extend(drivers.as_ref().map(|drivers| (drivers as &dyn Recipe, "drivers", drivers::FILE)));
        let recipes: Vec<_> = parts.iter().map(|(recipe, ..)| *recipe).collect();
        let made = store.ensure_each(&recipes)?;
        for (artifact, (_, name, file)) in made.iter().zip(parts) {
            all.paths.insert(name, artifact.path(file));
        }
        all.artifacts.extend(made);
        Ok(all)
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

    /// Returns the artifact of a recipe, if it is among these.
    pub(crate) fn of(&self, recipe: &dyn Recipe) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.manifest.kind == recipe.kind())
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
