// SPDX-License-Identifier: MIT OR Apache-2.0

//! Standalone build of the guest module's Rust: one object that the compiler of any ppc64le kernel can link. It depends
//! on no kernel's headers or configuration.

pub(crate) mod libraries;
mod registers;

use crate::{
    artifacts::{object::libraries::Libraries, sources::Sources},
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{BUILD_ROOT, Root},
    run::{BUILD, Log, Sandbox, WORK, output_of},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command};

/// The object.
#[derive(Debug)]
pub(crate) struct Object;

impl Object {
    /// Copies the object into the directory where Kbuild looks for it, below `sources`.
    pub(crate) fn stage(object: &Artifact, sources: &Path) -> Result<()> {
        let to = sources.join("guest-module").join(FILE);
        fs::copy(object.path(FILE), &to).with_context(|| format!("cannot write {}", to.display())).map(drop)
    }
}

/// The file, in the artifact and in `guest-module/`. `make clean` keeps files with this ending.
pub(crate) const FILE: &str = "papr_unplug_rust.o_shipped";

/// The arguments of the compiler for the module, after those that it shares with its libraries.
const COMPILE: &[&str] = &[
    "--out-dir=/work/out",
    "-L/build",
    "--crate-name=papr_unplug",
    "--crate-type=staticlib",
    "--edition=2021",
    "-Dwarnings",
    "-Clto=fat",
    "-Zcrate-attr=no_std",
    "--remap-path-prefix=/work/build/=",
    "--extern=zerocopy",
    "--extern=zerocopy_derive",
    "/work/build/guest-module/papr_unplug_main.rs",
];

/// Returns the whole command of the compiler.
fn compile() -> impl Iterator<Item = &'static str> {
    libraries::ENVIRONMENT.iter().chain(&["rustc"]).chain(libraries::COMPILE).chain(COMPILE).copied()
}

/// The command that links all of the module into one object.
const LINK: &[&str] = &[
    "ld.lld",
    "-r",
    "--strip-debug",
    "--whole-archive",
    "/work/out/libpapr_unplug.a",
    "-o",
    "/work/papr_unplug_rust.o_shipped",
];

/// A function with a floating-point instruction, which the check of the object must find.
const TAMPER: &str = "double tampered(double a, double b) { return a * b; }\n";

impl Recipe for Object {
    fn kind(&self) -> &'static str {
        "object"
    }

    fn title(&self) -> String {
        "the module's Rust, for kernels without CONFIG_RUST".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(Libraries)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let compile = compile().collect::<Vec<_>>().join(" ");
        let inputs = Inputs::default().text("compile", compile).text("link", LINK.join(" "));
        Sources::of_module(&settings.checkout)?.add_to(inputs.text("tamper", TAMPER))
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, libraries) = (parts.of(&BUILD_ROOT), parts.of(&Libraries));
        let mut log = store.log(self.kind())?;
        Sources::of_module(&store.settings.checkout)?.copy_to(&dir.join("build"))?;
        fs::create_dir(dir.join("out"))?;
        let sandbox = Root::sandbox(root).bind_read_only(&Libraries::directory(libraries), BUILD).bind(dir, WORK);
        log.run("compiling the module", &mut sandbox.command(compile()))?;
        log.run("linking the object", &mut sandbox.command(LINK))?;
        check(&mut log, &sandbox, dir)?;
        for scratch in ["build", "out"] {
            fs::remove_dir_all(dir.join(scratch))?;
        }
        let mut made = Made { files: vec![FILE.into()], ..Made::default() };
        made.fact("rustc", root.fact("rustc"));
        Ok(made)
    }
}

/// Checks that no instruction of the object uses a floating-point or vector register, and that the check finds one that
/// does.
fn check(log: &mut Log, sandbox: &Sandbox, dir: &Path) -> Result<()> {
    let disassemble = |file: &str| {
        output_of(&mut sandbox.command(["llvm-objdump", "-d", "--no-show-raw-insn", &format!("{WORK}/{file}")]))
    };
    registers::check(&disassemble(FILE)?).context("the module's Rust object would spoil a program's registers")?;

    fs::write(dir.join("out/tamper.c"), TAMPER)?;
    let mut compile: Command = sandbox.command(["clang", "--target=powerpc64le-linux-gnu", "-O2", "-c"]);
    compile.args(["/work/out/tamper.c", "-o", "/work/out/tamper.o"]);
    log.run("compiling what the check must find", &mut compile)?;
    let mut link = sandbox.command(["ld.lld", "-r", &format!("{WORK}/{FILE}")]);
    log.run("tampering", link.args([&format!("{WORK}/out/tamper.o"), "-o", &format!("{WORK}/out/tampered.o")]))?;
    anyhow::ensure!(
        registers::check(&disassemble("out/tampered.o")?).is_err(),
        "the check for floating-point and vector instructions does not find one that is there"
    );
    Ok(())
}
