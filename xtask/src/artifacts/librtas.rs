// SPDX-License-Identifier: MIT OR Apache-2.0

//! Program by which tests have Debian's librtas read an event.

use crate::{
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    roots::{
        foreign::{Foreign, GUEST},
        root::{BUILD_ROOT, Root},
    },
    run::sandbox::{BUILD, SOURCE, WORK},
    settings::Settings,
};
use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The program.
#[derive(Debug)]
pub(crate) struct Librtas;

impl Librtas {
    /// The program in the artifact.
    pub(crate) const PROGRAM: &str = "parse-event";
}

const COMPILER: &[&str] =
    &["clang", "--target=powerpc64le-linux-gnu", "-Os", "-Wall", "-Wextra", "-Werror", "-fuse-ld=lld"];

/// The libraries. The linker script of the C library names a file in `/lib64`, which only an installed system has.
const LIBRARIES: &[&str] = &["-nodefaultlibs", "-lrtasevent", "-l:libc.so.6", "-l:libc_nonshared.a"];

impl Recipe for Librtas {
    fn kind(&self) -> &'static str {
        "librtas"
    }

    fn title(&self) -> String {
        "program that has librtas read an event".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(GUEST)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("compiler", COMPILER.join(" ")).text("libraries", LIBRARIES.join(" "));
        inputs.file("parse.c", &source(settings).join("parse.c"))
    }

    fn needs(&self) -> u64 {
        10
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(self.kind())?;
        let out = dir.join("out");
        fs::create_dir(&out)?;
        let sandbox = Root::sandbox(parts.of(&BUILD_ROOT))
            .bind_read_only(&source(&store.settings), SOURCE)
            .bind_read_only(&Foreign::tree(parts.of(&GUEST)), WORK)
            .bind(&out, BUILD);
        let mut compile = sandbox.command(COMPILER);
        compile.arg(format!("--sysroot={WORK}")).arg(format!("{SOURCE}/parse.c"));
        compile.args(["-o", &format!("{BUILD}/{}", Self::PROGRAM)]).args(LIBRARIES);
        log.run("compiling the program", &mut compile)?;
        fs::rename(out.join(Self::PROGRAM), dir.join(Self::PROGRAM))?;
        fs::remove_dir_all(&out)?;
        Ok(Made { files: vec![Self::PROGRAM.into()], ..Made::default() })
    }
}

fn source(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/librtas")
}
