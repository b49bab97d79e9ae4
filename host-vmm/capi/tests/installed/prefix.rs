// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library where `cargo xtask install` puts it, used as a VMM's build does.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A prefix of its own, with everything installed.
pub(crate) struct Prefix(TempDir);

/// How a program is linked.
#[derive(Clone, Copy)]
pub(crate) enum Linked {
    Dynamically,
    Statically,
}

impl Prefix {
    pub(crate) fn install() -> Self {
        let dir = TempDir::new().unwrap();
        let mut install = Command::new(env!("CARGO"));
        install.args(["xtask", "install", "--prefix"]).arg(dir.path());
        run(install.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
        Self(dir)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// What pkg-config says.
    fn flags(&self, arguments: &[&str]) -> Vec<String> {
        let mut pkg_config = tool("pkg-config", "pkgconf");
        pkg_config.args(arguments).arg("papr-unplug").env("PKG_CONFIG_PATH", self.path("lib/pkgconfig"));
        run(&mut pkg_config).split_whitespace().map(str::to_owned).collect()
    }

    /// Compiles a program of this crate, by its path in it.
    pub(crate) fn compile(&self, source: &str, linked: Linked, options: &[&str]) -> PathBuf {
        let program = self.path("program");
        let mut cc = tool(&env::var("CC").unwrap_or("cc".into()), "gcc");
        cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-o"]).arg(&program).args(options);
        cc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source));
        match linked {
            Linked::Dynamically => {
                cc.args(self.flags(&["--cflags", "--libs"]));
                cc.arg(format!("-Wl,-rpath,{}", self.path("lib").display()));
            }
            Linked::Statically => {
                // The linker prefers a shared library where there are both.
                fs::remove_file(self.path("lib/libpapr_unplug.so")).unwrap();
                cc.args(self.flags(&["--static", "--cflags", "--libs"]));
            }
        }
        run(&mut cc);
        program
    }
}

/// A program that a Debian package has.
pub(crate) fn tool(program: &str, package: &str) -> Command {
    let found = env::split_paths(&env::var_os("PATH").unwrap()).any(|dir| dir.join(program).is_file());
    assert!(found, "this test takes `{program}`: `apt-get install {package}`, or run `cargo xtask test`");
    Command::new(program)
}

/// What a program prints, which succeeds.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
