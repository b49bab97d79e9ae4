// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module's object stands on, and what only a newer kernel or compiler changes: core, zerocopy, and the derive
//! macros of zerocopy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::artifacts::linux_tree::LinuxTree;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host::sandbox::{SOURCE, WORK};
use crate::run::step::Log;
use crate::settings::Settings;

/// The libraries.
#[derive(Debug)]
pub(crate) struct Libraries;

impl Libraries {
    /// Where rustc finds them, in the artifact.
    const DIRECTORY: &str = "out";

    /// Where rustc finds them on the host.
    pub(super) fn directory(held: &Artifact) -> PathBuf {
        held.path(Self::DIRECTORY)
    }
}

/// Stands in for rustc's own, of which the kernel has no need.
const COMPILER_BUILTINS: &str = "guest-module/face/compiler_builtins.rs";

/// How all of it is compiled: as the kernel compiles its own Rust, and for whatever kernel it may meet.
pub(super) const COMPILE: &[&str] = &[
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
    // It stays in memory for good, and what it does is short.
    "-Copt-level=s",
    "-Zfunction-sections=n",
    // A backtrace names the function in which a check failed; the line would take as much room as the check.
    "-Zlocation-detail=none",
    "--sysroot=/dev/null",
];

/// How the procedural macro is compiled, for the machine at hand. Nobody waits for what it does.
const COMPILE_MACRO: &[&str] = &["--cap-lints=allow", "-Clinker=clang"];

/// Machine code is made of what the module takes of a library, and of the rest there is no need.
const BITCODE: &str = "-Clinker-plugin-lto";

/// Where Debian's `rust-src` has the core library.
const CORE: &str = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";

/// Where the crates go, and find each other.
const PLACE: &[&str] = &["--out-dir=/work/out", "-L/work/out"];

/// What rustc is told by the environment.
pub(super) const ENVIRONMENT: &[&str] = &["env", "RUSTC_BOOTSTRAP=1", "CARGO_PKG_VERSION=0.8.54"];

/// The crates, in the order that they need each other: the derive macros of zerocopy, and what they stand on, from the
/// kernel's own copy; core; then zerocopy.
fn crates() -> Vec<Vec<String>> {
    let words = |flags: &[&str], more: &[&str]| {
        let all = ENVIRONMENT.iter().chain(&["rustc"]).chain(flags).chain(PLACE).chain(more);
        all.map(|word| (*word).to_owned()).collect()
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
            "/work/compiler_builtins.rs",
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
    ]
}

impl Recipe for Libraries {
    fn kind(&self) -> &'static str {
        "object-libraries"
    }

    fn title(&self) -> String {
        "Rust libraries for kernels without CONFIG_RUST".to_owned()
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root, &LinuxTree]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let commands: Vec<String> = crates().iter().map(|words| words.join(" ")).collect();
        let inputs = Inputs::default().text("crates", commands.join("\n"));
        inputs.file(COMPILER_BUILTINS, &settings.checkout.join(COMPILER_BUILTINS))
    }

    fn needs(&self) -> u64 {
        200
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, source] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, self.kind())?;
        fs::create_dir(dir.join(Self::DIRECTORY))?;
        let staged = dir.join("compiler_builtins.rs");
        fs::copy(store.settings.checkout.join(COMPILER_BUILTINS), &staged)?;
        let sandbox = Root::sandbox(root).bind_read_only(&LinuxTree::tree(source), SOURCE).bind(dir, WORK);
        for words in crates() {
            let name = words.iter().find_map(|word| word.strip_prefix("--crate-name=")).unwrap_or_default().to_owned();
            log.run(store, &format!("compiling {name}"), &mut sandbox.command(words))?;
        }
        fs::remove_file(staged)?;
        Ok(Made { trees: vec![Self::DIRECTORY.into()], ..Made::default() })
    }
}
