// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest module's Rust as one object that any ppc64le kernel's own compiler can link: the freestanding face.
//!
//! It depends on no kernel's headers or configuration, so there is one for all of them.

pub(crate) mod libraries;
mod registers;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::module_sources::{stage_sources, with_sources};
use crate::artifacts::object::libraries::Libraries;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host::sandbox::{BUILD, Sandbox, WORK};
use crate::run::step::{Log, output_of};
use crate::settings::Settings;

/// The object.
#[derive(Debug)]
pub(crate) struct Object;

impl Object {
    /// Puts the object where Kbuild looks for it, in a copy of the sources.
    pub(crate) fn stage(held: &Artifact, sources: &Path) -> Result<()> {
        let to = sources.join("guest-module").join(FILE);
        fs::copy(held.path(FILE), &to).with_context(|| format!("cannot write {}", to.display())).map(drop)
    }
}

/// The file, in the artifact and, for Kbuild, in `guest-module/`. A name that `make clean` leaves alone.
pub(crate) const FILE: &str = "papr_unplug_rust.o_shipped";

/// How the module is compiled, over what its libraries are compiled with.
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

/// The whole command.
fn compile() -> impl Iterator<Item = &'static str> {
    libraries::ENVIRONMENT.iter().chain(&["rustc"]).chain(libraries::COMPILE).chain(COMPILE).copied()
}

/// Links all of the module into one object.
const LINK: &[&str] = &[
    "ld.lld",
    "-r",
    "--strip-debug",
    "--whole-archive",
    "/work/out/libpapr_unplug.a",
    "-o",
    "/work/papr_unplug_rust.o_shipped",
];

/// A function that takes what the object must not: the check for that is put to the test with it.
const TAMPER: &str = "double tampered(double a, double b) { return a * b; }\n";

impl Recipe for Object {
    fn kind(&self) -> &'static str {
        "object"
    }

    fn title(&self) -> String {
        "the module's Rust, for kernels without CONFIG_RUST".to_owned()
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root, &Libraries]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let compile = compile().collect::<Vec<_>>().join(" ");
        let inputs = Inputs::default().text("compile", compile).text("link", LINK.join(" "));
        with_sources(inputs.text("tamper", TAMPER), &settings.checkout)
    }

    fn needs(&self) -> u64 {
        200
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, libraries] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, self.kind())?;
        stage_sources(&store.settings.checkout, &dir.join("build"))?;
        fs::create_dir(dir.join("out"))?;
        let sandbox = Root::sandbox(root).bind_read_only(&Libraries::directory(libraries), BUILD).bind(dir, WORK);
        log.run(store, "compiling the module", &mut sandbox.command(compile()))?;
        log.run(store, "linking the object", &mut sandbox.command(LINK))?;
        check(store, &mut log, &sandbox, dir)?;
        for scratch in ["build", "out"] {
            fs::remove_dir_all(dir.join(scratch))?;
        }
        let mut made = Made { files: vec![FILE.into()], ..Made::default() };
        made.fact("rustc", root.manifest.facts.get("rustc").cloned().unwrap_or_default());
        Ok(made)
    }
}

/// Makes sure that no instruction of the object touches a floating-point or vector register, and that the same check
/// would have found one.
fn check(store: &Store, log: &mut Log, sandbox: &Sandbox, dir: &Path) -> Result<()> {
    let disassemble = |file: &str| {
        output_of(&mut sandbox.command(["llvm-objdump", "-d", "--no-show-raw-insn", &format!("{WORK}/{file}")]))
    };
    registers::check(&disassemble(FILE)?).context("the module's Rust object would spoil a program's registers")?;

    fs::write(dir.join("out/tamper.c"), TAMPER)?;
    let mut compile: Command = sandbox.command(["clang", "--target=powerpc64le-linux-gnu", "-O2", "-c"]);
    compile.args(["/work/out/tamper.c", "-o", "/work/out/tamper.o"]);
    log.run(store, "compiling what the check must find", &mut compile)?;
    let mut link = sandbox.command(["ld.lld", "-r", &format!("{WORK}/{FILE}")]);
    log.run(store, "tampering", link.args(["/work/out/tamper.o", "-o", "/work/out/tampered.o"]))?;
    anyhow::ensure!(
        registers::check(&disassemble("out/tampered.o")?).is_err(),
        "the check for floating-point and vector instructions does not find one that is there"
    );
    Ok(())
}
