// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest module's Rust as one object that any ppc64le kernel's own compiler can link: the freestanding face.
//!
//! It depends on no kernel's headers or configuration, so there is one for all of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::module::{stage_sources, with_sources};
use crate::artifacts::registers;
use crate::artifacts::root::Root;
use crate::artifacts::source::Source;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Held, Recipe, Store};
use crate::host::sandbox::{SOURCE, Sandbox, WORK};
use crate::settings::Settings;
use crate::work::step::{Log, output_of};

/// The object.
#[derive(Debug)]
pub(crate) struct Object;

impl Object {
    /// Puts the object where Kbuild looks for it, in a copy of the sources.
    pub(crate) fn stage(held: &Held, sources: &Path) -> Result<()> {
        let to = sources.join("guest-module").join(FILE);
        fs::copy(held.path(FILE), &to).with_context(|| format!("cannot write {}", to.display())).map(drop)
    }
}

/// The file, in the artifact and, for Kbuild, in `guest-module/`. A name that `make clean` leaves alone.
pub(crate) const FILE: &str = "papr_unplug_rust.o_shipped";

/// How all of it is compiled: as the kernel compiles its own Rust, and for whatever kernel it may meet.
const COMPILE: &[&str] = &[
    "--target=powerpc64le-unknown-linux-gnu",
    // A kernel's code must leave the registers of floating point and vectors alone.
    "-Ctarget-feature=-mma,-vsx,-hard-float,-altivec",
    // Modules are loaded far from the kernel.
    "-Ccode-model=large",
    "-Crelocation-model=static",
    "-Cpanic=abort",
    "-Cforce-unwind-tables=n",
    "-Ccodegen-units=1",
    "-Coverflow-checks=y",
    "-Copt-level=2",
    "-Zfunction-sections=n",
    "--sysroot=/dev/null",
    "--out-dir=/work/out",
    "-L/work/out",
];

/// How the procedural macro is compiled, for the machine at hand. Nobody waits for what it does.
const COMPILE_MACRO: &[&str] = &["--cap-lints=allow", "--out-dir=/work/out", "-L/work/out", "-Clinker=clang"];

/// Machine code is made of what the module takes of a library, and of the rest there is no need.
const BITCODE: &str = "-Clinker-plugin-lto";

/// Where Debian's `rust-src` has the core library.
const CORE: &str = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";

/// The crates, in the order that they need each other: the derive macros of zerocopy, and what they stand on, from the
/// kernel's own copy; core; then the module.
fn crates() -> Vec<Vec<String>> {
    let words = |flags: &[&str], more: &[&str]| {
        let mut words = vec!["rustc".to_owned()];
        words.extend(flags.iter().chain(more).map(|word| (*word).to_owned()));
        words
    };
    let on_host = |more: &[&str]| words(COMPILE_MACRO, more);
    let on_target = |more: &[&str]| words(COMPILE, more);
    let proc_macro2 = ["--extern=proc_macro2"];
    let all = [proc_macro2[0], "--extern=quote", "--extern=syn", "--extern=proc_macro"];
    vec![
        on_host(&[
            "--crate-name=proc_macro2",
            "--crate-type=rlib",
            "--edition=2021",
            "--cfg=feature=\"proc-macro\"",
            "--cfg=wrap_proc_macro",
            "--cfg=proc_macro_span_file",
            "--cfg=proc_macro_span_location",
            "/src/rust/proc-macro2/lib.rs",
        ]),
        on_host(&[
            "--crate-name=quote",
            "--crate-type=rlib",
            "--edition=2018",
            "--cfg=feature=\"proc-macro\"",
            proc_macro2[0],
            "/src/rust/quote/lib.rs",
        ]),
        on_host(&[
            "--crate-name=syn",
            "--crate-type=rlib",
            "--edition=2021",
            "--cfg=feature=\"clone-impls\"",
            "--cfg=feature=\"derive\"",
            "--cfg=feature=\"full\"",
            "--cfg=feature=\"parsing\"",
            "--cfg=feature=\"printing\"",
            "--cfg=feature=\"proc-macro\"",
            "--cfg=feature=\"visit\"",
            "--cfg=feature=\"visit-mut\"",
            proc_macro2[0],
            "--extern=quote",
            "/src/rust/syn/lib.rs",
        ]),
        on_host(&[
            "--crate-name=zerocopy_derive",
            "--crate-type=proc-macro",
            "--edition=2021",
            "-Clink-arg=-fuse-ld=lld",
            "--cfg=zerocopy_unstable_linux",
            all[0],
            all[1],
            all[2],
            all[3],
            "/src/rust/zerocopy-derive/lib.rs",
        ]),
        on_target(&[
            "--crate-name=core",
            "--crate-type=rlib",
            "--edition=2024",
            "--cap-lints=allow",
            "--cfg=no_fp_fmt_parse",
            BITCODE,
            CORE,
        ]),
        on_target(&[
            "--crate-name=compiler_builtins",
            "--crate-type=rlib",
            "--edition=2021",
            "--cap-lints=allow",
            "-Cembed-bitcode=n",
            "/work/build/guest-module/face/compiler_builtins.rs",
        ]),
        on_target(&[
            "--crate-name=zerocopy",
            "--crate-type=rlib",
            "--edition=2021",
            "--cap-lints=allow",
            "--cfg=no_fp_fmt_parse",
            BITCODE,
            "/src/rust/zerocopy/src/lib.rs",
        ]),
        on_target(&[
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
        ]),
    ]
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
        vec![&Root, &Source]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let commands: Vec<String> = crates().iter().map(|words| words.join(" ")).collect();
        let inputs = Inputs::default().text("crates", commands.join("\n")).text("link", LINK.join(" "));
        with_sources(inputs.text("tamper", TAMPER), &settings.checkout)
    }

    fn needs(&self) -> u64 {
        200
    }

    fn make(&self, store: &Store, parts: &[Held], dir: &Path) -> Result<Made> {
        let [root, source] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, self.kind())?;
        stage_sources(&store.settings.checkout, &dir.join("build"))?;
        fs::create_dir(dir.join("out"))?;
        let sandbox = Root::sandbox(root).see(&Source::tree(source), SOURCE).fill(dir, WORK);
        for words in crates() {
            let name = words.iter().find_map(|word| word.strip_prefix("--crate-name=")).unwrap_or_default().to_owned();
            let setting = ["env", "RUSTC_BOOTSTRAP=1", "CARGO_PKG_VERSION=0.8.54"].map(str::to_owned);
            let mut compile = sandbox.command(setting.into_iter().chain(words));
            log.run(store, &format!("compiling {name}"), &mut compile)?;
        }
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
