// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs for test guests that need no library: each is one C file, which is built with the nolibc of the kernel.

use crate::{
    artifacts::{kernel::MAKE, linux_tree::LinuxTree},
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    roots::root::{BUILD_ROOT, Root},
    run::{
        machine,
        sandbox::{SOURCE, WORK},
    },
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Program, which is linked against the nolibc of the kernel's source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestProgram {
    /// Name of the program, of its source and of the directory of that.
    pub(crate) name: &'static str,
}

/// Starts another kernel.
pub(crate) const KEXEC: GuestProgram = GuestProgram { name: "kexec" };

/// Has a PCI function open through VFIO.
pub(crate) const HOLD_VFIO: GuestProgram = GuestProgram { name: "hold-vfio" };

const COMPILER: &[&str] = &[
    "clang",
    "--target=powerpc64le-linux-gnu",
    "-Os",
    "-Wall",
    "-Wextra",
    "-Werror",
    // nolibc lacks the functions that clang would replace calls by.
    "-fno-builtin",
    "-fno-stack-protector",
    "-fno-pic",
    "-nostdinc",
    "-nostdlib",
    "-static",
    "-fuse-ld=lld",
    "-include",
    "nolibc.h",
];

impl GuestProgram {
    fn file(self) -> String {
        format!("{}.c", self.name)
    }

    fn source(self, settings: &Settings) -> PathBuf {
        settings.checkout.join("tests/guest").join(self.name).join(self.file())
    }
}

impl Recipe for GuestProgram {
    fn kind(&self) -> &'static str {
        self.name
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(LinuxTree::GENERAL)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("make", MAKE.join(" ")).text("compiler", COMPILER.join(" "));
        inputs.file(self.file(), &self.source(settings))
    }

    fn needs(&self) -> u64 {
        10
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, kernel_source) = (parts.of(&BUILD_ROOT), parts.of(&LinuxTree::GENERAL));
        let mut log = store.log(self.name)?;
        let stage = dir.join("build");
        fs::create_dir(&stage)?;
        let from = self.source(&store.settings);
        fs::copy(&from, stage.join(self.file())).with_context(|| format!("cannot copy {}", from.display()))?;

        let sandbox = Root::sandbox(root).bind_read_only(&LinuxTree::tree(kernel_source), SOURCE).bind(&stage, WORK);
        let mut make = sandbox.command(MAKE);
        make.args(["-C", SOURCE, &format!("O={WORK}"), &format!("-j{}", machine::jobs()), "headers"]);
        log.run("the kernel's headers for programs", &mut make)?;
        let mut compile = sandbox.command(COMPILER);
        compile.arg(format!("-I{SOURCE}/tools/include/nolibc")).arg(format!("-I{WORK}/usr/include"));
        compile.args(["-o", &format!("{WORK}/{}", self.name), &format!("{WORK}/{}", self.file())]);
        log.run(&format!("compiling {}", self.name), &mut compile)?;

        fs::rename(stage.join(self.name), dir.join(self.name))?;
        fs::remove_dir_all(&stage)?;
        Ok(Made { files: vec![self.name.into()], ..Made::default() })
    }
}
