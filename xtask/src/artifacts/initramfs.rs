// SPDX-License-Identifier: MIT OR Apache-2.0

//! User space of the guest: busybox, `init`, kernel modules, and the program that starts another kernel.

use crate::{
    artifacts::{
        busybox::Busybox,
        guest_kernel::GuestKernel,
        guest_program::{GuestProgram, KEXEC},
        module::Module,
    },
    cache::{Inputs, Made, Parts, Recipe, Store},
    settings::Settings,
};
use anyhow::{Context, Result};
use papr_unplug_tests::cpio::Archive;
use std::{
    borrow::Cow,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// The file in the artifact. It is not compressed: to unpack it would take the guest longer than to read it.
pub(crate) const FILE: &str = "initramfs.cpio";

/// The directory of the standalone build of the module.
const STANDALONE: &str = "lib/modules/standalone";

const DIRECTORIES: &[&str] = &["bin", "dev", "etc", "lib", "lib/modules", STANDALONE, "proc", "root", "sys", "tmp"];

/// An initramfs with the modules of one kernel.
#[derive(Debug, Clone)]
pub(crate) struct Initramfs(pub(crate) GuestKernel);

impl Initramfs {
    /// Returns the recipe of `kexec` for kernels that start another one.
    fn kexec(&self) -> Option<GuestProgram> {
        matches!(self.0, GuestKernel::Ours(flavour) if flavour.has_kexec()).then_some(KEXEC)
    }

    /// Says which tests will fail for a kernel of the user's.
    fn warn(&self, store: &Store) {
        let GuestKernel::Own { tree, flavour } = &self.0 else { return };
        for name in flavour.modules().iter().filter(|name| !tree.join(name).exists()) {
            store.progress.say(format!("    {name} is not in {}: tests that need it will fail", tree.display()));
        }
        if flavour.has_kexec() {
            store.progress.say("    kexec is built for our own kernel only: tests that need it will fail");
        }
    }
}

impl Recipe for Initramfs {
    fn kind(&self) -> &'static str {
        self.0.kind(["initramfs", "debian-initramfs", "own-initramfs"])
    }

    fn title(&self) -> String {
        format!("initramfs ({})", self.0.title())
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        let mut parts: Vec<Box<dyn Recipe>> = vec![Box::new(Busybox)];
        parts.extend(self.0.recipe());
        let modules = [Some(Module::new(&self.0)), Module::standalone(&self.0), Module::fault(&self.0)];
        parts.extend(modules.into_iter().flatten().map(|module| Box::new(module) as Box<dyn Recipe>));
        parts.extend(self.kexec().map(|kexec| Box::new(kexec) as Box<dyn Recipe>));
        parts
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs = Inputs::default().text("directories", DIRECTORIES.join(" ")).text("layout", "3");
        if let GuestKernel::Own { tree, flavour } = &self.0 {
            for name in flavour.modules() {
                let path = tree.join(name);
                inputs = if path.exists() { inputs.file(*name, &path)? } else { inputs.text(*name, "absent") };
            }
        }
        inputs.file("init", &init(settings))
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        self.warn(store);
        let made = |module: Module| parts.of(&module).path(module.file());
        let module = made(Module::new(&self.0));
        let mut files = vec![("init".to_owned(), 0o755, init(&store.settings))];
        files.push(program(parts.of(&Busybox).path(Busybox::PROGRAM)));
        files.extend(self.kexec().map(|kexec| program(parts.of(&kexec).path(KEXEC.program))));
        files.extend([module.clone()].into_iter().chain(self.0.modules(parts)).map(kernel_module));
        files.extend(Module::fault(&self.0).map(made).map(kernel_module));
        if matches!(self.0, GuestKernel::Ours(_)) {
            let other = Module::standalone(&self.0).map(made).unwrap_or(module);
            files.push((format!("{STANDALONE}/{}", name(&other)), 0o644, other.clone()));
        }
        let path = dir.join(FILE);
        pack(&files, &path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Made { files: vec![FILE.into()], ..Made::default() })
    }
}

fn init(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/init")
}

/// A file of the archive: its path there, its mode, and the file with its content.
type Member = (String, u32, PathBuf);

fn program(from: PathBuf) -> Member {
    (format!("bin/{}", name(&from)), 0o755, from)
}

fn kernel_module(from: PathBuf) -> Member {
    (format!("lib/modules/{}", name(&from)), 0o644, from)
}

fn name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn pack(files: &[Member], path: &Path) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(path)?));
    for name in DIRECTORIES {
        archive.directory(name)?;
    }
    // The kernel opens it for init before anything is mounted.
    archive.device("dev/console", 5, 1)?;
    for (name, mode, from) in files {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        archive.file(name, *mode, &content)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}
