// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library where `cargo xtask install` puts it, used as a VMM's build does.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A prefix of its own, with everything installed.
pub(crate) struct Prefix(TempDir);

impl Prefix {
    /// Everything that is installed.
    pub(crate) fn install() -> Self {
        Self::install_with(&[])
    }

    /// Without the shared library, so that programs get the static one.
    pub(crate) fn install_static() -> Self {
        Self::install_with(&["--static"])
    }

    fn install_with(options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut install = Command::new(env!("CARGO"));
        install.args(["xtask", "install", "--prefix"]).arg(dir.path()).args(options);
        run(install.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
        Self(dir)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Compiles a program of this crate, by its path in it, as pkg-config says.
    pub(crate) fn compile(&self, source: &str, options: &[&str]) -> PathBuf {
        let mut pkg_config = tool("pkg-config", "pkgconf");
        pkg_config.args(["--cflags", "--libs", "papr-unplug"]).env("PKG_CONFIG_PATH", self.path("lib/pkgconfig"));
        let flags = run(&mut pkg_config);
        let program = self.path("program");
        let mut cc = tool(&env::var("CC").unwrap_or("cc".into()), "gcc");
        cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-o"]).arg(&program).args(options);
        cc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).args(flags.split_whitespace());
        run(cc.arg(format!("-Wl,-rpath,{}", self.path("lib").display())));
        program
    }
}

/// A program that a Debian package has.
pub(crate) fn tool(program: &str, package: &str) -> Command {
    let found = env::split_paths(&env::var_os("PATH").unwrap()).any(|dir| dir.join(program).is_file());
    assert!(found, "this test takes `{program}`: `apt-get install {package}`, or run `cargo xtask test`");
    Command::new(program)
}

/// Returns what a program prints, which has to succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
