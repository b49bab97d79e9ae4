// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's whole user space: busybox, our `init`, what starts another kernel, and modules to load.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use papr_unplug_tests::cpio::Archive;

use crate::artifacts::busybox::Busybox;
use crate::artifacts::fault::{self, Fault, OwnTreeFault};
use crate::artifacts::flavour::Flavour;
use crate::artifacts::kernel::Kernel;
use crate::artifacts::kexec::Kexec;
use crate::artifacts::module::{self, Module, OwnTreeModule};
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::settings::Settings;

/// An initramfs for one of our kernels.
#[derive(Debug)]
pub(crate) struct Initramfs {
    kernel: Kernel,
    module: Module,
    freestanding: Module,
    fault: Option<Fault>,
    kexec: Option<Kexec>,
}

/// An initramfs for a kernel of the user's.
#[derive(Debug)]
pub(crate) struct OwnTreeInitramfs {
    flavour: Flavour,
    module: OwnTreeModule,
    fault: Option<OwnTreeFault>,
}

/// The file in either artifact. Not compressed: unpacking would take the guest longer than reading.
pub(crate) const FILE: &str = "initramfs.cpio";

/// Where the module is that shows its freestanding face, whatever the kernel.
const FREESTANDING: &str = "lib/modules/freestanding";

const DIRECTORIES: &[&str] = &["bin", "dev", "etc", "lib", "lib/modules", FREESTANDING, "proc", "root", "sys", "tmp"];

impl Initramfs {
    pub(crate) fn new(flavour: Flavour) -> Self {
        Self {
            kernel: Kernel(flavour),
            module: Module::new(flavour),
            freestanding: Module::standalone(flavour),
            fault: Fault::new(flavour),
            // The only kernel of ours that starts another.
            kexec: (flavour == Flavour::Debug).then_some(Kexec),
        }
    }
}

impl OwnTreeInitramfs {
    /// The flavour is what the user's kernel is to be tested as.
    pub(crate) fn new(tree: PathBuf, flavour: Flavour) -> Self {
        Self { flavour, fault: OwnTreeFault::new(tree.clone(), flavour), module: OwnTreeModule { tree } }
    }
}

impl Recipe for Initramfs {
    fn kind(&self) -> &'static str {
        "initramfs"
    }

    fn title(&self) -> String {
        format!("initramfs ({})", self.kernel.0.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        let mut parts: Vec<&dyn Recipe> = vec![&Busybox, &self.kernel, &self.module, &self.freestanding];
        parts.extend(self.fault.as_ref().map(|fault| fault as &dyn Recipe));
        parts.extend(self.kexec.as_ref().map(|kexec| kexec as &dyn Recipe));
        parts
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        own_inputs(settings)
    }

    fn needs(&self) -> u64 {
        20
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [busybox, kernel, module, freestanding, others @ ..] = parts else {
            unreachable!("four parts or more are declared")
        };
        let (fault, kexec) = others.split_at(usize::from(self.fault.is_some()));
        let mut modules = vec![module.path(module::FILE)];
        modules.extend(self.kernel.modules(kernel));
        modules.extend(fault.iter().map(|fault| fault.path(fault::FILE)));
        let mut programs = vec![busybox.path(Busybox::PROGRAM)];
        programs.extend(kexec.iter().map(|kexec| kexec.path(Kexec::PROGRAM)));
        pack(store, &programs, &modules, Some(&freestanding.path(module::FILE)), dir)
    }
}

impl Recipe for OwnTreeInitramfs {
    fn kind(&self) -> &'static str {
        "own-initramfs"
    }

    fn title(&self) -> String {
        format!("initramfs (for {})", self.module.tree.display())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        let mut parts: Vec<&dyn Recipe> = vec![&Busybox, &self.module];
        parts.extend(self.fault.as_ref().map(|fault| fault as &dyn Recipe));
        parts
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs = own_inputs(settings)?;
        for name in self.flavour.modules() {
            let path = self.module.tree.join(name);
            inputs = if path.exists() { inputs.file(*name, &path)? } else { inputs.text(*name, "absent") };
        }
        Ok(inputs)
    }

    fn needs(&self) -> u64 {
        20
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [busybox, module, fault @ ..] = parts else { unreachable!("two parts or more are declared") };
        let mut modules = vec![module.path(module::FILE)];
        modules.extend(fault.iter().map(|fault| fault.path(fault::FILE)));
        let tree = &self.module.tree;
        for name in self.flavour.modules() {
            if tree.join(name).exists() {
                modules.push(tree.join(name));
            } else {
                store.progress.say(format!("    {name} is not in {}: tests that need it will fail", tree.display()));
            }
        }
        if self.flavour == Flavour::Debug {
            store.progress.say("    kexec is built for our own kernel only: tests that need it will fail");
        }
        pack(store, &[busybox.path(Busybox::PROGRAM)], &modules, None, dir)
    }
}

pub(crate) fn own_inputs(settings: &Settings) -> Result<Inputs> {
    let inputs = Inputs::default().text("directories", DIRECTORIES.join(" ")).text("layout", "2");
    inputs.file("init", &init(settings))
}

fn init(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/init")
}

pub(crate) fn pack(
    store: &Store,
    programs: &[PathBuf],
    modules: &[PathBuf],
    freestanding: Option<&Path>,
    dir: &Path,
) -> Result<Made> {
    let path = dir.join(FILE);
    let write = || {
        let mut archive = Archive::new(BufWriter::new(File::create(&path)?));
        for name in DIRECTORIES {
            archive.directory(name)?;
        }
        // The kernel opens it for init before anything is mounted.
        archive.device("dev/console", 5, 1)?;
        archive.file("init", 0o755, &read(&init(&store.settings))?)?;
        for program in programs {
            archive.file(&format!("bin/{}", name(program)), 0o755, &read(program)?)?;
        }
        for module in modules {
            archive.file(&format!("lib/modules/{}", name(module)), 0o644, &read(module)?)?;
        }
        if let Some(module) = freestanding {
            archive.file(&format!("{FREESTANDING}/{}", module::FILE), 0o644, &read(module)?)?;
        }
        archive.finish()?.flush()?;
        Ok::<_, anyhow::Error>(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Made { files: vec![FILE.into()], ..Made::default() })
}

fn name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
