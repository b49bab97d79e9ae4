// SPDX-License-Identifier: MIT OR Apache-2.0

//! User space of the guest: busybox, `init`, kernel modules, and the program that starts another kernel.

use crate::{
    artifacts::{busybox::busybox, guest_kernel::GuestKernel, guest_program::KEXEC, module::Module},
    cache::{Made, Recipe, Work},
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

/// The directory of the standalone build of the module.
const STANDALONE: &str = "lib/modules/standalone";

const DIRECTORIES: &[&str] = &["bin", "dev", "etc", "lib", "lib/modules", STANDALONE, "proc", "root", "sys", "tmp"];

/// An initramfs with the modules of one kernel.
pub(crate) fn initramfs(kernel: &GuestKernel) -> Recipe {
    let (to_make, to_read) = (kernel.clone(), kernel.clone());
    let kind = kernel.kind(["initramfs", "debian-initramfs", "own-initramfs"]);
    let modules = [Some(Module::new(kernel)), Module::standalone(kernel), Module::fault(kernel)];
    Recipe::new(kind, format!("initramfs ({})", kernel.title()), move |work| make(work, &to_make))
        .parts([busybox()].into_iter().chain(kernel.recipe()))
        .parts(modules.iter().flatten().map(Module::recipe))
        .parts(has_kexec(kernel).then(|| KEXEC.recipe()))
        .text("directories", DIRECTORIES.join(" "))
        .text("layout", "3")
        .read(move |mut inputs, settings| {
            if let GuestKernel::Own { tree, flavour } = &to_read {
                for name in flavour.modules() {
                    let path = tree.join(name);
                    inputs = if path.exists() { inputs.file(*name, &path)? } else { inputs.text(*name, "absent") };
                }
            }
            inputs.file("init", &init(settings))
        })
        .file("initramfs.cpio")
}

/// Returns whether the program that starts another kernel belongs to it.
fn has_kexec(kernel: &GuestKernel) -> bool {
    matches!(kernel, GuestKernel::Ours(flavour) if flavour.has_kexec())
}

/// Says which tests will fail for a kernel of the user's.
fn warn(work: &Work<'_>, kernel: &GuestKernel) {
    let GuestKernel::Own { tree, flavour } = kernel else { return };
    for name in flavour.modules().iter().filter(|name| !tree.join(name).exists()) {
        work.log.say(format!("    {name} is not in {}: tests that need it will fail", tree.display()));
    }
    if flavour.has_kexec() {
        work.log.say("    kexec is built for our own kernel only: tests that need it will fail");
    }
}

fn make(work: &Work<'_>, kernel: &GuestKernel) -> Result<Made> {
    warn(work, kernel);
    let made = |module: Module| work.of(module.recipe().kind).file();
    let module = made(Module::new(kernel));
    let mut files = vec![("init".to_owned(), 0o755, init(work.settings)), program(work.of("busybox").file())];
    files.extend(has_kexec(kernel).then(|| program(work.of(KEXEC.kind).file())));
    files.extend([module.clone()].into_iter().chain(kernel.modules(work)).map(kernel_module));
    files.extend(Module::fault(kernel).map(made).map(kernel_module));
    if matches!(kernel, GuestKernel::Ours(_)) {
        let other = Module::standalone(kernel).map(made).unwrap_or(module);
        files.push((format!("{STANDALONE}/{}", name(&other)), 0o644, other.clone()));
    }
    let path = work.path("initramfs.cpio");
    pack(&files, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Made::default())
}

pub(super) fn init(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/init")
}

/// A file of the archive: its path there, its mode, and the file with its content.
type Member = (String, u32, PathBuf);

pub(super) fn program(from: PathBuf) -> Member {
    (format!("bin/{}", name(&from)), 0o755, from)
}

fn kernel_module(from: PathBuf) -> Member {
    (format!("lib/modules/{}", name(&from)), 0o644, from)
}

fn name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Writes an archive, which is not compressed: to unpack it would take the guest longer than to read it.
pub(super) fn pack(files: &[Member], path: &Path) -> Result<()> {
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
