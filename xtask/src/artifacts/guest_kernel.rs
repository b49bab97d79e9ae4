// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernels that guests boot, and how modules are built for them.

use crate::{
    artifacts::{
        build::Build,
        debian_kernel::DebianKernel,
        flavour::Flavour,
        kernel::{Kernel, MAKE},
    },
    cache::{Inputs, Made, Parts, Recipe},
    roots::{BUILD_ROOT, DEBIAN_ROOT, Root},
    run::{BUILD, Log, Sandbox, WORK, machine},
    settings::{KERNEL_TREE, Settings},
};
use anyhow::{Context, Result, bail};
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

    /// Returns the name in messages.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Ours(flavour) => flavour.name().to_owned(),
            Self::Debian(kernel) => format!("Debian's kernel, {}", kernel.name()),
            Self::Own { tree, .. } => format!("for {}", tree.display()),
        }
    }

    /// Returns the name in names of logs.
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
    pub(crate) fn recipe(&self) -> Option<Box<dyn Recipe>> {
        match self {
            Self::Ours(flavour) => Some(Box::new(Kernel(*flavour))),
            Self::Debian(kernel) => Some(Box::new(*kernel)),
            Self::Own { .. } => None,
        }
    }

    /// Returns what modules for this kernel are built with.
    pub(crate) fn parts(&self) -> Vec<Box<dyn Recipe>> {
        let mut parts: Vec<Box<dyn Recipe>> = match self {
            Self::Ours(flavour) => vec![Box::new(BUILD_ROOT), Box::new(Kernel(*flavour).source())],
            Self::Debian(_) => vec![Box::new(DEBIAN_ROOT)],
            Self::Own { .. } => Vec::new(),
        };
        parts.extend(self.recipe());
        parts
    }

    /// Returns the inputs of modules for this kernel, apart from [`GuestKernel::parts`] and the sources.
    pub(crate) fn inputs(&self) -> Result<Inputs> {
        let inputs = Inputs::default();
        match self {
            Self::Ours(_) => Ok(inputs.text("make", MAKE.join(" "))),
            Self::Debian(_) => Ok(inputs.text("cross", CROSS)),
            Self::Own { tree, .. } => own_inputs(inputs.text("tree", tree.display().to_string()), tree),
        }
    }

    /// Returns the kernel's own modules that tests load.
    pub(crate) fn modules(&self, parts: &Parts) -> Vec<PathBuf> {
        match self {
            Self::Ours(flavour) => {
                let kernel = Kernel(*flavour);
                kernel.modules(parts.of(&kernel))
            }
            Self::Debian(kernel) => kernel.modules(parts.of(kernel)),
            Self::Own { tree, flavour } => {
                let paths = flavour.modules().iter().map(|name| tree.join(name));
                paths.filter(|path| path.exists()).collect()
            }
        }
    }

    /// Builds the module `file` of the sources in `dir/build`, which are removed, and hands it out in `dir`.
    pub(crate) fn build_module(
        &self,
        log: &mut Log,
        parts: &Parts,
        dir: &Path,
        file: &str,
        arguments: &[String],
    ) -> Result<Made> {
        let stage = dir.join("build");
        let building = format!("building {file}");
        if let Self::Own { tree, .. } = self {
            let mut make = own_make(tree, &stage)?;
            log.run(&building, make.args(arguments).arg("modules"))?;
        } else {
            let (sandbox, mut make, strip) = self.sandboxed(parts, &stage)?;
            let jobs = format!("-j{}", machine::jobs());
            log.run(&building, make.args(arguments).args([&jobs, "modules"]))?;
            let module = format!("{WORK}/{file}");
            log.run(&format!("stripping {file}"), &mut sandbox.command([&strip, "--strip-debug", &module]))?;
        }
        fs::rename(stage.join(file), dir.join(file)).with_context(|| format!("the build made no {file}"))?;
        fs::remove_dir_all(stage)?;
        Ok(Made { files: vec![file.into()], ..Made::default() })
    }

    /// Returns the sandbox that modules are built in, the beginning of the `make` command, and the name of `strip`.
    fn sandboxed(&self, parts: &Parts, stage: &Path) -> Result<(Sandbox, Command, String)> {
        if let Self::Debian(kernel) = self {
            let kernel = parts.of(kernel);
            let tree = kernel.path(DebianKernel::TREE);
            let sandbox = Root::sandbox(parts.of(&DEBIAN_ROOT)).bind_read_only(&tree, BUILD).bind(stage, WORK);
            let mut make = sandbox.command(["make", "-C", &format!("{BUILD}/{}", kernel.fact("headers"))]);
            make.arg(format!("M={WORK}")).arg("ARCH=powerpc").arg(format!("CROSS_COMPILE={CROSS}"));
            make.arg(format!("CC={CROSS}gcc-{}", kernel.fact("gcc")));
            return Ok((sandbox, make, format!("{CROSS}strip")));
        }
        let Self::Ours(flavour) = self else { bail!("a kernel of the user's has no sandbox") };
        let kernel = Kernel(*flavour);
        let (source, kernel) = (parts.of(&kernel.source()), parts.of(&kernel));
        let sandbox = Kernel::sandbox(parts.of(&BUILD_ROOT), source, kernel).bind(stage, WORK);
        let mut make = sandbox.command(MAKE);
        make.args(["-C", BUILD, &format!("M={WORK}")]);
        Ok((sandbox, make, "llvm-strip".to_owned()))
    }
}

/// Returns the inputs that the user's kernel tree adds.
fn own_inputs(mut inputs: Inputs, tree: &Path) -> Result<Inputs> {
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
