// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel that is built here: the image that guests boot, and the tree that modules are built against.

use crate::{
    artifacts::{
        flavour::Flavour,
        kconfig,
        linux_tree::{self, linux_tree},
    },
    cache::{Made, Recipe, Work},
    roots::BUILD_ROOT,
    run::{BUILD, SOURCE, Sandbox, WORK, machine},
    settings::Settings,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use walkdir::WalkDir;

/// The command `make` for anything of or for the kernel.
pub(crate) const MAKE: &[&str] = &["make", "ARCH=powerpc", "LLVM=1"];

/// The fragments that the kernel's own tinyconfig consists of, in this order.
const TINY: [&str; 2] = ["kernel/configs/tiny-base.config", "kernel/configs/tiny.config"];

/// The kind of a kernel.
pub(crate) const KIND: &str = "kernel";

/// The directory of the kernel's own modules, in the artifact.
pub(crate) const MODULES: &str = "modules";

/// A kernel: the image that QEMU boots.
pub(crate) fn kernel(flavour: Flavour) -> Recipe {
    let title = format!("kernel ({})", flavour.name());
    let recipe = Recipe::new(KIND, title, move |work| make(work, flavour))
        .parts([BUILD_ROOT.recipe(), linux_tree(flavour.series())])
        .text("flavour", flavour.name())
        .text("make", MAKE.join(" "))
        .text("base", TINY.join(" "))
        .text("modules", flavour.modules().join(" "))
        .text("trim", "1")
        .read(move |inputs, settings| {
            let mut fragments = flavour.fragments().iter();
            fragments.try_fold(inputs, |inputs, name| inputs.file(*name, &fragment_path(settings, name)))
        })
        .needs(700)
        .file("vmlinux")
        .tree("tree")
        .logged_as(flavour.name());
    flavour.modules().iter().fold(recipe, |recipe, module| recipe.file(Path::new(MODULES).join(file_name(module))))
}

/// Returns a sandbox with the kernel's source and build trees, which are parts of what is made.
pub(crate) fn sandbox(work: &Work<'_>) -> Sandbox {
    let sandbox = BUILD_ROOT.sandbox(work).bind_read_only(&work.of(linux_tree::KIND).tree(), SOURCE);
    sandbox.bind_read_only(&work.of(KIND).tree(), BUILD)
}

fn make(work: &Work<'_>, flavour: Flavour) -> Result<Made> {
    let (source, tree) = (work.of(linux_tree::KIND).tree(), work.mkdir("tree")?);
    let sandbox = BUILD_ROOT.sandbox(work).bind_read_only(&source, SOURCE).bind(&tree, BUILD);
    let make = |arguments: &[&str]| -> Command {
        let mut command = sandbox.command(MAKE);
        command.args(["-C", SOURCE, &format!("O={BUILD}"), &format!("-j{}", machine::jobs())]).args(arguments);
        command
    };

    // The same result as tinyconfig, half a minute faster: tinyconfig merges fragments one by one.
    work.log.run("allnoconfig", &mut make(&["allnoconfig", &format!("KCONFIG_ALLCONFIG={}", TINY[0])]))?;
    let fragments = flavour.fragments().iter().map(|name| read(&fragment_path(work.settings, name)));
    let fragments = fragments.collect::<Result<Vec<_>>>()?;
    let config = tree.join(".config");
    let tiny = [read(&config)?, read(&source.join(TINY[1]))?];
    fs::write(&config, tiny.iter().chain(&fragments).map(String::as_str).collect::<String>())?;
    work.log.run("olddefconfig", &mut make(&["olddefconfig"]))?;
    let unmet = kconfig::unmet(&kconfig::wanted(fragments.iter().map(String::as_str)), &read(&config)?);
    if !unmet.is_empty() {
        bail!("the kernel cannot be configured as tests/guest/*.config say:\n    {}", unmet.join("\n    "));
    }
    work.log.run("building vmlinux and modules", &mut make(&["vmlinux", "modules"]))?;

    let keep = BUILD_ROOT.sandbox(work).bind_read_only(&tree, BUILD).bind(work.dir, WORK);
    let strip = ["llvm-strip", "--strip-all", "-o", &format!("{WORK}/vmlinux"), &format!("{BUILD}/vmlinux")];
    work.log.run("stripping vmlinux", &mut keep.command(strip))?;
    let modules = work.mkdir(MODULES)?;
    for module in flavour.modules() {
        fs::copy(tree.join(module), modules.join(file_name(module)))
            .with_context(|| format!("the kernel made no {module}"))?;
    }
    trim(&tree)?;
    Ok(Made::default().fact("release", read(&tree.join("include/config/kernel.release"))?.trim()))
}

/// Returns the name of the file at a path such as those of [`Flavour::modules`].
pub(crate) fn file_name(module: &str) -> &str {
    module.rsplit('/').next().unwrap_or(module)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn fragment_path(settings: &Settings, name: &str) -> PathBuf {
    settings.checkout.join("tests/guest").join(name)
}

/// Removes what the build of a module does not read: objects, archives, and make's records of them.
fn trim(tree: &Path) -> Result<()> {
    let kept = ["scripts", "tools", "arch/powerpc/lib/crtsavres.o"].map(|path| tree.join(path));
    for entry in
        WalkDir::new(tree).min_depth(1).into_iter().filter_entry(|entry| !kept.iter().any(|k| k == entry.path()))
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        let goes =
            [".o", ".a", ".cmd", ".ko", ".mod", ".mod.c", ".order", ".S"].iter().any(|suffix| name.ends_with(suffix));
        if entry.file_type().is_file() && (goes || name.starts_with("vmlinux") || name.starts_with(".tmp_")) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
