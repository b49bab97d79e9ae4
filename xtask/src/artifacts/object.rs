// SPDX-License-Identifier: MIT OR Apache-2.0

//! Standalone build of the guest module's Rust: one object that the compiler of any ppc64le kernel can link. It depends
//! on no kernel's headers or configuration.

mod registers;

use crate::{
    artifacts::{
        linux_tree::{self, Series, linux_tree},
        sources::Sources,
    },
    cache::{Artifact, Made, Recipe, Work},
    roots::BUILD_ROOT,
    run::{BUILD, SOURCE, Sandbox, WORK, output_of},
};
use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};

/// The kind of the object.
pub(crate) const KIND: &str = "object";

/// The kind of [`libraries`].
const LIBRARIES: &str = "object-libraries";

/// The file, in the artifact and in `guest-module/`. `make clean` keeps files with this ending.
pub(crate) const FILE: &str = "papr_unplug_rust.o_shipped";

/// The replacement of rustc's own `compiler_builtins`, which the kernel does not need.
const COMPILER_BUILTINS: &str = "guest-module/entry/compiler_builtins.rs";

const RUSTC: &str = "env RUSTC_BOOTSTRAP=1 CARGO_PKG_VERSION=0.8.54 rustc";

/// The arguments of the compiler for the module and the libraries that are linked with it: as the kernel compiles its own
/// Rust, for any kernel. Kernel code must not use floating-point and vector registers, and is loaded far from the kernel's own
/// text. The module stays in memory, and it runs rarely. A backtrace names the function of a failed check; the line would
/// take as many bytes as the check.
const FLAGS: &str = "--target=powerpc64le-unknown-linux-gnu -Ctarget-feature=-mma,-vsx,-hard-float,-altivec \
                     -Ccode-model=large -Crelocation-model=static -Cpanic=abort -Cforce-unwind-tables=n \
                     -Ccodegen-units=1 -Coverflow-checks=y -Copt-level=s -Zfunction-sections=n -Zlocation-detail=none \
                     --sysroot=/dev/null";

/// The arguments of the compiler for what runs on this machine.
const NATIVE: &str = "--cap-lints=allow -Clinker=clang";

/// The directory that libraries are written to, and searched for in.
const PLACE: &str = "--out-dir=/work/out -L/work/out";

/// The crates of the libraries, each after those that it depends on: from the kernel's own copies, the derive macros of
/// zerocopy with their dependencies; then what the module is linked with. Two of the latter are stored as bitcode instead of
/// machine code: only what the module uses of them becomes machine code.
const CRATES: [(&str, &str); 7] = [
    (
        NATIVE,
        "--crate-name=proc_macro2 --crate-type=rlib --edition=2021 --cfg=feature=\"proc-macro\" --cfg=wrap_proc_macro \
         --cfg=proc_macro_span_file --cfg=proc_macro_span_location /src/rust/proc-macro2/lib.rs",
    ),
    (
        NATIVE,
        "--crate-name=quote --crate-type=rlib --edition=2018 --cfg=feature=\"proc-macro\" --extern=proc_macro2 \
         /src/rust/quote/lib.rs",
    ),
    (
        NATIVE,
        "--crate-name=syn --crate-type=rlib --edition=2021 --cfg=feature=\"clone-impls\" --cfg=feature=\"derive\" \
         --cfg=feature=\"full\" --cfg=feature=\"parsing\" --cfg=feature=\"printing\" --cfg=feature=\"proc-macro\" \
         --cfg=feature=\"visit\" --cfg=feature=\"visit-mut\" --extern=proc_macro2 --extern=quote /src/rust/syn/lib.rs",
    ),
    (
        NATIVE,
        "--crate-name=zerocopy_derive --crate-type=proc-macro --edition=2021 -Clink-arg=-fuse-ld=lld \
         --cfg=zerocopy_unstable_linux --extern=proc_macro2 --extern=quote --extern=syn --extern=proc_macro \
         /src/rust/zerocopy-derive/lib.rs",
    ),
    (
        FLAGS,
        "--crate-name=core --crate-type=rlib --edition=2024 --cap-lints=allow --cfg=no_fp_fmt_parse -Clinker-plugin-lto \
         /usr/lib/rustlib/src/rust/library/core/src/lib.rs",
    ),
    (
        FLAGS,
        "--crate-name=compiler_builtins --crate-type=rlib --edition=2021 --cap-lints=allow -Cembed-bitcode=n \
         /work/compiler_builtins.rs",
    ),
    (
        FLAGS,
        "--crate-name=zerocopy --crate-type=rlib --edition=2021 --cap-lints=allow --cfg=no_fp_fmt_parse \
         -Clinker-plugin-lto /src/rust/zerocopy/src/lib.rs",
    ),
];

/// The arguments of the compiler for the module, after [`FLAGS`].
const MODULE: &str = "--out-dir=/work/out -L/build --crate-name=papr_unplug --crate-type=staticlib --edition=2021 \
                      -Dwarnings -Clto=fat -Zcrate-attr=no_std --remap-path-prefix=/work/build/= --extern=zerocopy \
                      --extern=zerocopy_derive /work/build/guest-module/papr_unplug_main.rs";

/// The command that links all of the module into one object.
const LINK: &str = "ld.lld -r --strip-debug --whole-archive /work/out/libpapr_unplug.a -o \
                    /work/papr_unplug_rust.o_shipped";

/// A function with a floating-point instruction, which the check of the object must find.
const TAMPER: &str = "double tampered(double a, double b) { return a * b; }\n";

/// The object.
pub(crate) fn object() -> Recipe {
    Recipe::new(KIND, "the module's Rust, for kernels without CONFIG_RUST", make)
        .parts([BUILD_ROOT.recipe(), libraries()])
        .text("compile", compile())
        .text("link", LINK)
        .text("tamper", TAMPER)
        .read(|inputs, settings| Sources::of_module(&settings.checkout)?.add_to(inputs))
        .file(FILE)
}

/// Copies the object into the directory where Kbuild looks for it, below `sources`.
pub(crate) fn stage(object: &Artifact, sources: &Path) -> Result<()> {
    let to = sources.join("guest-module").join(FILE);
    fs::copy(object.file(), &to).with_context(|| format!("cannot write {}", to.display())).map(drop)
}

/// The libraries. Only a newer kernel or compiler changes them.
fn libraries() -> Recipe {
    Recipe::new(LIBRARIES, "Rust libraries for kernels without CONFIG_RUST", make_libraries)
        .parts([BUILD_ROOT.recipe(), linux_tree(Series::General)])
        .text("crates", CRATES.map(compile_library).join("\n"))
        .read(|inputs, settings| inputs.file(COMPILER_BUILTINS, &settings.checkout.join(COMPILER_BUILTINS)))
        .tree("out")
}

fn compile() -> String {
    format!("{RUSTC} {FLAGS} {MODULE}")
}

fn compile_library((flags, of_crate): (&str, &str)) -> String {
    format!("{RUSTC} {flags} {PLACE} {of_crate}")
}

fn make_libraries(work: &Work<'_>) -> Result<Made> {
    work.mkdir("out")?;
    fs::copy(work.settings.checkout.join(COMPILER_BUILTINS), work.path("compiler_builtins.rs"))?;
    let source = work.of(linux_tree::KIND).tree();
    let sandbox = BUILD_ROOT.sandbox(work).bind_read_only(&source, SOURCE).bind(work.dir, WORK);
    for command in CRATES.map(compile_library) {
        let name = command.split(' ').find_map(|word| word.strip_prefix("--crate-name=")).unwrap_or_default();
        work.log.run(&format!("compiling {name}"), &mut sandbox.command(command.split(' ')))?;
    }
    Ok(Made::default())
}

fn make(work: &Work<'_>) -> Result<Made> {
    Sources::of_module(&work.settings.checkout)?.copy_to(&work.path("build"))?;
    work.mkdir("out")?;
    let sandbox = BUILD_ROOT.sandbox(work).bind_read_only(&work.of(LIBRARIES).tree(), BUILD).bind(work.dir, WORK);
    work.log.run("compiling the module", &mut sandbox.command(compile().split(' ')))?;
    work.log.run("linking the object", &mut sandbox.command(LINK.split(' ')))?;
    check(work, &sandbox)?;
    Ok(Made::default().fact("rustc", work.of(BUILD_ROOT.kind).fact("rustc")))
}

/// Checks that no instruction of the object uses a floating-point or vector register, and that the check finds one that
/// does.
fn check(work: &Work<'_>, sandbox: &Sandbox) -> Result<()> {
    let disassemble = |file: &str| {
        output_of(&mut sandbox.command(["llvm-objdump", "-d", "--no-show-raw-insn", &format!("{WORK}/{file}")]))
    };
    registers::check(&disassemble(FILE)?).context("the module's Rust object would spoil a program's registers")?;

    fs::write(work.path("out/tamper.c"), TAMPER)?;
    let script = format!(
        "cd {WORK}/out && clang --target=powerpc64le-linux-gnu -O2 -c tamper.c && ld.lld -r ../{FILE} tamper.o -o tampered.o"
    );
    work.log.run("compiling what the check must find", &mut sandbox.command(["sh", "-c", &script]))?;
    ensure!(
        registers::check(&disassemble("out/tampered.o")?).is_err(),
        "the check for floating-point and vector instructions does not find one that is there"
    );
    Ok(())
}
