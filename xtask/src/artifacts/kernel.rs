// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's kernel: what QEMU boots, and what the module is built against.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::artifacts::flavour::Flavour;
use crate::artifacts::kconfig;
use crate::artifacts::linux_tree::LinuxTree;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::sandbox::{BUILD, SOURCE, Sandbox, WORK};
use crate::run::step::Log;
use crate::settings::Settings;

/// Make's arguments for anything in or beside the kernel.
pub(crate) const MAKE: &[&str] = &["make", "ARCH=powerpc", "LLVM=1"];

/// What the kernel's own tinyconfig is made of, in this order.
const TINY: [&str; 2] = ["kernel/configs/tiny-base.config", "kernel/configs/tiny.config"];

/// A kernel built from the source artifact.
#[derive(Debug)]
pub(crate) struct Kernel(pub(crate) Flavour);

impl Kernel {
    /// What QEMU boots.
    pub(crate) const IMAGE: &str = "vmlinux";

    /// Modules of the kernel's own are here, below the artifact.
    const MODULES: &str = "modules";

    const TREE: &str = "tree";

    /// The flavour's modules in the artifact.
    pub(crate) fn modules(&self, held: &Artifact) -> Vec<PathBuf> {
        self.0.modules().iter().map(|module| held.path(Self::MODULES).join(file_name(module))).collect()
    }

    /// A sandbox that sees the kernel as its build left it.
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

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root, &LinuxTree]
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

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, source] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, &format!("kernel-{}", self.0.name()))?;
        let tree = dir.join(Self::TREE);
        fs::create_dir(&tree)?;
        let sandbox = Root::sandbox(root).bind_read_only(&LinuxTree::tree(source), SOURCE).bind(&tree, BUILD);
        let make = |arguments: &[&str]| -> Command {
            let mut command = sandbox.command(MAKE);
            command.args(["-C", SOURCE, &format!("O={BUILD}"), &format!("-j{}", host::jobs())]).args(arguments);
            command
        };

        // This is tinyconfig, without the half a minute that its way of merging takes.
        log.run(store, "allnoconfig", &mut make(&["allnoconfig", &format!("KCONFIG_ALLCONFIG={}", TINY[0])]))?;
        let fragments = self.0.fragments().iter().map(|name| read(&fragment_path(&store.settings, name)));
        let fragments = fragments.collect::<Result<Vec<_>>>()?;
        let config = tree.join(".config");
        let tiny = [read(&config)?, read(&LinuxTree::tree(source).join(TINY[1]))?];
        fs::write(&config, tiny.iter().chain(&fragments).map(String::as_str).collect::<String>())?;
        log.run(store, "olddefconfig", &mut make(&["olddefconfig"]))?;
        let unmet =
            kconfig::unmet(&kconfig::wanted(fragments.iter().map(String::as_str)), &fs::read_to_string(&config)?);
        if !unmet.is_empty() {
            bail!("the kernel cannot be configured as tests/guest/*.config say:\n    {}", unmet.join("\n    "));
        }
        log.run(store, "building vmlinux and modules", &mut make(&["vmlinux", "modules"]))?;

        let keep = Root::sandbox(root).bind_read_only(&tree, BUILD).bind(dir, WORK);
        let image = format!("{WORK}/{}", Self::IMAGE);
        let strip = ["llvm-strip", "--strip-all", "-o", &image, &format!("{BUILD}/vmlinux")];
        log.run(store, "stripping vmlinux", &mut keep.command(strip))?;
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

/// Removes what a module's build does not read: objects, archives, and the records make keeps of them.
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
