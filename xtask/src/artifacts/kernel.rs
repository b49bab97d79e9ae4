// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel that is built here: the image that guests boot, and the tree that modules are built against.

use crate::{
    artifacts::{flavour::Flavour, kconfig, linux_tree::LinuxTree},
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{BUILD_ROOT, Root},
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

/// A kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernel(pub(crate) Flavour);

impl Kernel {
    /// The image that QEMU boots, in the artifact.
    pub(crate) const IMAGE: &str = "vmlinux";

    /// The directory of the kernel's own modules, in the artifact.
    const MODULES: &str = "modules";

    const TREE: &str = "tree";

    /// Returns the tree that it is built from.
    pub(crate) fn source(self) -> LinuxTree {
        LinuxTree(self.0.series())
    }

    /// Returns the kernel's own modules that tests load.
    pub(crate) fn modules(self, kernel: &Artifact) -> Vec<PathBuf> {
        self.0.modules().iter().map(|module| kernel.path(Self::MODULES).join(file_name(module))).collect()
    }

    /// Returns a sandbox with the kernel's source and build trees.
    pub(crate) fn sandbox(root: &Artifact, source: &Artifact, kernel: &Artifact) -> Sandbox {
        Root::sandbox(root)
            .bind_read_only(&LinuxTree::tree(source), SOURCE)
            .bind_read_only(&kernel.path(Self::TREE), BUILD)
    }
}

impl Recipe for Kernel {
    fn kind(&self) -> &'static str {
        "kernel"
    }

    fn title(&self) -> String {
        format!("kernel ({})", self.0.name())
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(self.source())]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs = Inputs::default()
            .text("flavour", self.0.name())
            .text("make", MAKE.join(" "))
            .text("base", TINY.join(" "))
            .text("modules", self.0.modules().join(" "))
            .text("trim", "1");
        for fragment in self.0.fragments() {
            inputs = inputs.file(*fragment, &fragment_path(settings, fragment))?;
        }
        Ok(inputs)
    }

    fn needs(&self) -> u64 {
        700
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, source) = (parts.of(&BUILD_ROOT), parts.of(&self.source()));
        let mut log = store.log(&format!("kernel-{}", self.0.name()))?;
        let tree = dir.join(Self::TREE);
        fs::create_dir(&tree)?;
        let sandbox = Root::sandbox(root).bind_read_only(&LinuxTree::tree(source), SOURCE).bind(&tree, BUILD);
        let make = |arguments: &[&str]| -> Command {
            let mut command = sandbox.command(MAKE);
            command.args(["-C", SOURCE, &format!("O={BUILD}"), &format!("-j{}", machine::jobs())]).args(arguments);
            command
        };

        // The same result as tinyconfig, half a minute faster: tinyconfig merges fragments one by one.
        log.run("allnoconfig", &mut make(&["allnoconfig", &format!("KCONFIG_ALLCONFIG={}", TINY[0])]))?;
        let fragments = self.0.fragments().iter().map(|name| read(&fragment_path(&store.settings, name)));
        let fragments = fragments.collect::<Result<Vec<_>>>()?;
        let config = tree.join(".config");
        let tiny = [read(&config)?, read(&LinuxTree::tree(source).join(TINY[1]))?];
        fs::write(&config, tiny.iter().chain(&fragments).map(String::as_str).collect::<String>())?;
        log.run("olddefconfig", &mut make(&["olddefconfig"]))?;
        let unmet =
            kconfig::unmet(&kconfig::wanted(fragments.iter().map(String::as_str)), &fs::read_to_string(&config)?);
        if !unmet.is_empty() {
            bail!("the kernel cannot be configured as tests/guest/*.config say:\n    {}", unmet.join("\n    "));
        }
        log.run("building vmlinux and modules", &mut make(&["vmlinux", "modules"]))?;

        let keep = Root::sandbox(root).bind_read_only(&tree, BUILD).bind(dir, WORK);
        let image = format!("{WORK}/{}", Self::IMAGE);
        let strip = ["llvm-strip", "--strip-all", "-o", &image, &format!("{BUILD}/vmlinux")];
        log.run("stripping vmlinux", &mut keep.command(strip))?;
        let mut made = Made { files: vec![Self::IMAGE.into()], trees: vec![Self::TREE.into()], ..Made::default() };
        fs::create_dir(dir.join(Self::MODULES))?;
        for module in self.0.modules() {
            let name = Path::new(Self::MODULES).join(file_name(module));
            fs::copy(tree.join(module), dir.join(&name)).with_context(|| format!("the kernel made no {module}"))?;
            made.files.push(name);
        }
        trim(&tree)?;
        made.fact("release", fs::read_to_string(tree.join("include/config/kernel.release"))?.trim());
        Ok(made)
    }
}

fn file_name(module: &str) -> &str {
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
