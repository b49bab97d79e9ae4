// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernels that guests boot, and how modules are built for them.

use crate::{
    artifacts::{
        debian_kernel::DebianKernel,
        flavour::{Build, Flavour},
        kernel::{self, KIND, MAKE, MODULES, file_name, kernel},
        linux_tree::linux_tree,
    },
    cache::{Inputs, Made, Recipe, Work},
    roots::{BUILD_ROOT, DEBIAN_ROOT},
    run::{BUILD, Sandbox, WORK, machine},
    settings::{KERNEL_TREE, Settings},
};
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum as _;
use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The prefix of the cross compilers in [`DEBIAN_ROOT`].
const CROSS: &str = "powerpc64le-linux-gnu-";

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GuestKernel {
    /// One that is built here.
    Ours(Flavour),
    /// One that Debian has built. Modules are built by the commands that its users type, but on this machine.
    Debian(DebianKernel),
    /// The user's, in the build directory `tree`, tested as `flavour`. Modules are built with the user's tools.
    Own { tree: PathBuf, flavour: Flavour },
}

impl GuestKernel {
    /// Returns the user's kernel if there is one, and ours otherwise.
    pub(crate) fn chosen(settings: &Settings, flavour: Flavour) -> Self {
        match &settings.kernel_tree {
            Some(tree) => Self::Own { tree: tree.clone(), flavour },
            None => Self::Ours(flavour),
        }
    }

    /// Returns the kernel that a user names, one that is built here (or the user's in its place) or one of Debian's.
    pub(crate) fn named(name: &str, settings: &Settings) -> Result<Self> {
        let ours = Flavour::from_str(name, false).map(|flavour| Self::chosen(settings, flavour));
        ours.or_else(|_| DebianKernel::from_str(name, false).map(Self::Debian)).map_err(|_| {
            anyhow!("neither `cargo xtask test` nor `cargo xtask kernels` knows the kernel {name}; see their --help")
        })
    }

    /// Returns the name in messages.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Ours(flavour) => flavour.name().to_owned(),
            Self::Debian(kernel) => format!("Debian's kernel, {}", kernel.name()),
            Self::Own { tree, .. } => format!("for {}", tree.display()),
        }
    }

    /// Returns the name in names of logs and files.
    pub(crate) fn log_name(&self) -> String {
        match self {
            Self::Ours(flavour) => flavour.name().to_owned(),
            Self::Debian(kernel) => format!("debian-{}", kernel.name()),
            Self::Own { .. } => "own".to_owned(),
        }
    }

    /// Chooses the kind of an artifact: for our kernels, for Debian's, for the user's.
    pub(crate) fn kind(&self, [ours, debian, own]: [&'static str; 3]) -> &'static str {
        match self {
            Self::Ours(_) => ours,
            Self::Debian(_) => debian,
            Self::Own { .. } => own,
        }
    }

    /// Returns the flavour that tests take the kernel for.
    pub(crate) fn flavour(&self) -> Flavour {
        match self {
            Self::Ours(flavour) | Self::Own { flavour, .. } => *flavour,
            Self::Debian(_) => Flavour::Default,
        }
    }

    /// Returns the build of the guest module that Kbuild chooses for this kernel.
    pub(crate) fn build(&self) -> Build {
        match self {
            Self::Ours(flavour) => flavour.build(),
            Self::Debian(_) => Build::Standalone,
            Self::Own { tree, .. } => {
                let config = fs::read_to_string(tree.join(".config")).unwrap_or_default();
                let has_rust = config.lines().any(|line| line == "CONFIG_RUST=y");
                if has_rust { Build::KernelCrate } else { Build::Standalone }
            }
        }
    }

    /// Returns the recipe of the kernel; `None` for the user's.
    pub(crate) fn recipe(&self) -> Option<Recipe> {
        match self {
            Self::Ours(flavour) => Some(kernel(*flavour)),
            Self::Debian(kernel) => Some(kernel.recipe()),
            Self::Own { .. } => None,
        }
    }

    /// Adds to a recipe of modules what they are built with for this kernel.
    pub(crate) fn add_to(&self, recipe: Recipe) -> Recipe {
        match self {
            Self::Ours(flavour) => recipe
                .parts([BUILD_ROOT.recipe(), linux_tree(flavour.series()), kernel(*flavour)])
                .text("make", MAKE.join(" ")),
            Self::Debian(kernel) => recipe.parts([DEBIAN_ROOT.recipe(), kernel.recipe()]).text("cross", CROSS),
            Self::Own { tree, .. } => recipe.text("tree", tree.display().to_string()),
        }
    }

    /// Adds the user's kernel to the inputs of modules.
    pub(crate) fn read(&self, mut inputs: Inputs) -> Result<Inputs> {
        let Self::Own { tree, .. } = self else { return Ok(inputs) };
        // The file is too large to hash each time. Its time changes with every build, after which the module may not fit.
        let vmlinux = tree.join("vmlinux");
        let found = vmlinux.metadata().with_context(|| format!("{KERNEL_TREE}: cannot read {}", vmlinux.display()))?;
        inputs = inputs.text("vmlinux", format!("{} bytes of {}.{}", found.len(), found.mtime(), found.mtime_nsec()));
        for name in [".config", "Module.symvers", "include/config/kernel.release"] {
            inputs = inputs.file(name, &tree.join(name)).with_context(|| {
                format!("{KERNEL_TREE} must name the build directory of a kernel, configured and built")
            })?;
        }
        Ok(inputs)
    }

    /// Returns the kernel's own modules that tests load.
    pub(crate) fn modules(&self, work: &Work<'_>) -> Vec<PathBuf> {
        let modules = self.flavour().modules().iter();
        match self {
            Self::Own { tree, .. } => modules.map(|name| tree.join(name)).filter(|path| path.exists()).collect(),
            _ => {
                let dir = work.of(if let Self::Ours(_) = self { KIND } else { DebianKernel::KIND }).path(MODULES);
                modules.map(|name| dir.join(file_name(name))).collect()
            }
        }
    }

    /// Builds the module `file` of the sources in `stage`, and hands it out.
    pub(crate) fn build_module(&self, work: &Work<'_>, stage: &Path, file: &str, arguments: &[String]) -> Result<Made> {
        let building = format!("building {file}");
        if let Self::Own { tree, .. } = self {
            let mut make = own_make(tree, stage)?;
            work.log.run(&building, make.args(arguments).arg("modules"))?;
        } else {
            let (sandbox, mut make, strip) = self.sandboxed(work, stage);
            let jobs = format!("-j{}", machine::jobs());
            work.log.run(&building, make.args(arguments).args([&jobs, "modules"]))?;
            let module = format!("{WORK}/{file}");
            work.log.run(&format!("stripping {file}"), &mut sandbox.command([strip, "--strip-debug", &module]))?;
        }
        fs::rename(stage.join(file), work.path(file)).with_context(|| format!("the build made no {file}"))?;
        Ok(Made::default())
    }

    /// Returns the sandbox that modules are built in, the beginning of the `make` command, and the name of `strip`.
    fn sandboxed(&self, work: &Work<'_>, stage: &Path) -> (Sandbox, Command, &'static str) {
        if let Self::Debian(_) = self {
            let kernel = work.of(DebianKernel::KIND);
            let sandbox = DEBIAN_ROOT.sandbox(work).bind_read_only(&kernel.tree(), BUILD).bind(stage, WORK);
            let mut make = sandbox.command(["make", "-C", &format!("{BUILD}/{}", kernel.fact("headers"))]);
            make.arg(format!("M={WORK}")).arg("ARCH=powerpc").arg(format!("CROSS_COMPILE={CROSS}"));
            make.arg(format!("CC={CROSS}gcc-{}", kernel.fact("gcc")));
            return (sandbox, make, "powerpc64le-linux-gnu-strip");
        }
        let sandbox = kernel::sandbox(work).bind(stage, WORK);
        let mut make = sandbox.command(MAKE);
        make.args(["-C", BUILD, &format!("M={WORK}")]);
        (sandbox, make, "llvm-strip")
    }
}

/// Returns the beginning of the `make` command for a module in `stage`, with the user's tools.
fn own_make(tree: &Path, stage: &Path) -> Result<Command> {
    let config = fs::read_to_string(tree.join(".config"))?;
    let mut make = Command::new("make");
    make.arg("-C").arg(tree).arg(format!("M={}", stage.display())).arg("ARCH=powerpc");
    // The user may have chosen an LLVM in the environment.
    if config.contains("CONFIG_CC_IS_CLANG=y") && env::var_os("LLVM").is_none() {
        make.arg("LLVM=1");
    }
    Ok(make)
}
