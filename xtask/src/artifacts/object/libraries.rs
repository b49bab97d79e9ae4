// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rust libraries of the standalone build: core, zerocopy, and the derive macros of zerocopy. Only a newer kernel or
//! compiler changes them.

use crate::{
    artifacts::linux_tree::LinuxTree,
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{BUILD_ROOT, Root},
    run::{SOURCE, WORK},
    settings::Settings,
};
use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The libraries.
#[derive(Debug)]
pub(crate) struct Libraries;

impl Libraries {
    /// The directory that rustc searches, in the artifact.
    const DIRECTORY: &str = "out";

    /// Returns that directory on the host.
    pub(super) fn directory(libraries: &Artifact) -> PathBuf {
        libraries.path(Self::DIRECTORY)
    }
}

/// The replacement of rustc's own `compiler_builtins`, which the kernel does not need.
const COMPILER_BUILTINS: &str = "guest-module/entry/compiler_builtins.rs";

/// The arguments of the compiler for the module and its libraries: as the kernel compiles its own Rust, for any kernel.
pub(super) const COMPILE: &[&str] = &[
    "--target=powerpc64le-unknown-linux-gnu",
    // Kernel code must not use floating-point and vector registers.
    "-Ctarget-feature=-mma,-vsx,-hard-float,-altivec",
    // The kernel loads modules far from its own text.
    "-Ccode-model=large",
    "-Crelocation-model=static",
    "-Cpanic=abort",
    "-Cforce-unwind-tables=n",
    "-Ccodegen-units=1",
    "-Coverflow-checks=y",
    // The module stays in memory, and it runs rarely.
    "-Copt-level=s",
    "-Zfunction-sections=n",
    // A backtrace names the function of a failed check; the line would take as many bytes as the check.
    "-Zlocation-detail=none",
    "--sysroot=/dev/null",
];

/// The arguments of the compiler for the procedural macro, which runs on this machine.
const COMPILE_MACRO: &[&str] = &["--cap-lints=allow", "-Clinker=clang"];

/// The directory that the crates are written to, and searched for in.
const PLACE: &[&str] = &["--out-dir=/work/out", "-L/work/out"];

/// The environment of rustc.
pub(super) const ENVIRONMENT: &[&str] = &["env", "RUSTC_BOOTSTRAP=1", "CARGO_PKG_VERSION=0.8.54"];

/// The crates, each after those that it depends on: from the kernel's own copies, the derive macros of zerocopy with their
/// dependencies, which run on this machine.
const MACROS: [&str; 4] = [
    "--crate-name=proc_macro2 --crate-type=rlib --edition=2021 --cfg=feature=\"proc-macro\" --cfg=wrap_proc_macro \
     --cfg=proc_macro_span_file --cfg=proc_macro_span_location /src/rust/proc-macro2/lib.rs",
    "--crate-name=quote --crate-type=rlib --edition=2018 --cfg=feature=\"proc-macro\" --extern=proc_macro2 \
     /src/rust/quote/lib.rs",
    "--crate-name=syn --crate-type=rlib --edition=2021 --cfg=feature=\"clone-impls\" --cfg=feature=\"derive\" \
     --cfg=feature=\"full\" --cfg=feature=\"parsing\" --cfg=feature=\"printing\" --cfg=feature=\"proc-macro\" \
     --cfg=feature=\"visit\" --cfg=feature=\"visit-mut\" --extern=proc_macro2 --extern=quote /src/rust/syn/lib.rs",
    "--crate-name=zerocopy_derive --crate-type=proc-macro --edition=2021 -Clink-arg=-fuse-ld=lld \
     --cfg=zerocopy_unstable_linux --extern=proc_macro2 --extern=quote --extern=syn --extern=proc_macro \
     /src/rust/zerocopy-derive/lib.rs",
];

/// The crates that the module is linked with. Two are stored as bitcode instead of machine code: only what the module uses
/// of them becomes machine code.
const LIBRARIES: [&str; 3] = [
    "--crate-name=core --crate-type=rlib --edition=2024 --cap-lints=allow --cfg=no_fp_fmt_parse -Clinker-plugin-lto \
     /usr/lib/rustlib/src/rust/library/core/src/lib.rs",
    "--crate-name=compiler_builtins --crate-type=rlib --edition=2021 --cap-lints=allow -Cembed-bitcode=n \
     /work/compiler_builtins.rs",
    "--crate-name=zerocopy --crate-type=rlib --edition=2021 --cap-lints=allow --cfg=no_fp_fmt_parse -Clinker-plugin-lto \
     /src/rust/zerocopy/src/lib.rs",
];

/// Returns the commands that compile the crates.
fn commands() -> impl Iterator<Item = Vec<&'static str>> {
    let command = |flags: &'static [&'static str], of_crate: &'static str| {
        [ENVIRONMENT, &["rustc"], flags, PLACE].concat().into_iter().chain(of_crate.split(' ')).collect()
    };
    let macros = MACROS.into_iter().map(move |one| command(COMPILE_MACRO, one));
    macros.chain(LIBRARIES.into_iter().map(move |one| command(COMPILE, one)))
}

impl Recipe for Libraries {
    fn kind(&self) -> &'static str {
        "object-libraries"
    }

    fn title(&self) -> String {
        "Rust libraries for kernels without CONFIG_RUST".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(LinuxTree::GENERAL)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let commands: Vec<String> = commands().map(|words| words.join(" ")).collect();
        let inputs = Inputs::default().text("crates", commands.join("\n"));
        inputs.file(COMPILER_BUILTINS, &settings.checkout.join(COMPILER_BUILTINS))
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, source) = (parts.of(&BUILD_ROOT), parts.of(&LinuxTree::GENERAL));
        let mut log = store.log(self.kind())?;
        fs::create_dir(dir.join(Self::DIRECTORY))?;
        let staged = dir.join("compiler_builtins.rs");
        fs::copy(store.settings.checkout.join(COMPILER_BUILTINS), &staged)?;
        let sandbox = Root::sandbox(root).bind_read_only(&LinuxTree::tree(source), SOURCE).bind(dir, WORK);
        for words in commands() {
            let name = words.iter().find_map(|word| word.strip_prefix("--crate-name=")).unwrap_or_default();
            log.run(&format!("compiling {name}"), &mut sandbox.command(&words))?;
        }
        fs::remove_file(staged)?;
        Ok(Made { trees: vec![Self::DIRECTORY.into()], ..Made::default() })
    }
}
