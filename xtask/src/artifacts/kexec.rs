// SPDX-License-Identifier: MIT OR Apache-2.0

//! `kexec`, the program by which a test guest's kernel starts another one.

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

/// The program. It is linked against the nolibc of the kernel's source, and needs no other library.
#[derive(Debug)]
pub(crate) struct Kexec;

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

impl Kexec {
    /// The program in the artifact.
    pub(crate) const PROGRAM: &str = "kexec";
}

impl Recipe for Kexec {
    fn kind(&self) -> &'static str {
        "kexec"
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(LinuxTree)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("make", MAKE.join(" ")).text("compiler", COMPILER.join(" "));
        inputs.file("kexec.c", &source(settings))
    }

    fn needs(&self) -> u64 {
        10
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, kernel_source) = (parts.of(&BUILD_ROOT), parts.of(&LinuxTree));
        let mut log = store.log("kexec")?;
        let stage = dir.join("build");
        fs::create_dir(&stage)?;
        let from = source(&store.settings);
        fs::copy(&from, stage.join("kexec.c")).with_context(|| format!("cannot copy {}", from.display()))?;

        let sandbox = Root::sandbox(root).bind_read_only(&LinuxTree::tree(kernel_source), SOURCE).bind(&stage, WORK);
        let mut make = sandbox.command(MAKE);
        make.args(["-C", SOURCE, &format!("O={WORK}"), &format!("-j{}", machine::jobs()), "headers"]);
        log.run("the kernel's headers for programs", &mut make)?;
        let mut compile = sandbox.command(COMPILER);
        compile.arg(format!("-I{SOURCE}/tools/include/nolibc")).arg(format!("-I{WORK}/usr/include"));
        compile.args(["-o", &format!("{WORK}/{}", Self::PROGRAM), &format!("{WORK}/kexec.c")]);
        log.run("compiling kexec", &mut compile)?;

        fs::rename(stage.join(Self::PROGRAM), dir.join(Self::PROGRAM))?;
        fs::remove_dir_all(&stage)?;
        Ok(Made { files: vec![Self::PROGRAM.into()], ..Made::default() })
    }
}

fn source(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/kexec/kexec.c")
}
