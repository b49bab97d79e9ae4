// SPDX-License-Identifier: MIT OR Apache-2.0

//! Builds with a kernel tree and a QEMU of the user's, both of them dummies that record their use. Each run has an
//! empty cache.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The user's files: a built kernel tree, a `make` that records its arguments and makes a module, an `apt-get` without
/// a network, and a QEMU.
struct UserFiles {
    dir: TempDir,
}

impl UserFiles {
    fn new() -> Self {
        let user = Self { dir: TempDir::new().unwrap() };
        for file in ["tree/vmlinux", "tree/Module.symvers", "tree/include/config/kernel.release", "firmware/slof.bin"] {
            user.write(file, "");
        }
        user.write("tree/.config", "CONFIG_RUST=y\nCONFIG_CC_IS_CLANG=y\n");
        user.script(
            "bin/make",
            "echo \"$@\" >> $(dirname $0)/../made\n\
             for word; do case $word in M=*) echo made > ${word#M=}/papr_unplug.ko;; esac; done\n",
        );
        user.script("bin/apt-get", "echo 'Could not connect to anything'; exit 100\n");
        user.script("qemu", "[ \"$*\" = '-L help' ] && printf '/no/such/place\\n%s/firmware\\n' $(dirname $0)\n");
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn script(&self, name: &str, body: &str) {
        self.write(name, &format!("#!/bin/sh\n{body}"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs `artifacts --json` with these parts, which fails without a network, and returns its standard error.
    fn artifacts(&self, variables: &[(&str, &Path)]) -> String {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["artifacts", "--json"]);
        for unset in ["PAPR_UNPLUG_KERNEL_TREE", "PAPR_UNPLUG_QEMU", "PAPR_UNPLUG_QEMU_DATA", "LLVM"] {
            command.env_remove(unset);
        }
        command.env("PAPR_UNPLUG_MIRROR", "http://mirror.invalid/debian").env("PATH", path);
        command.env("PAPR_UNPLUG_CACHE", self.path("cache")).envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Returns the arguments of each `make`.
    fn made(&self) -> Vec<String> {
        let noted = fs::read_to_string(self.path("made")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }
}

#[test]
fn module_is_built_in_the_users_tree_and_only_busybox_is_fetched() {
    let user = UserFiles::new();
    let said =
        user.artifacts(&[("PAPR_UNPLUG_KERNEL_TREE", &user.path("tree")), ("PAPR_UNPLUG_QEMU", &user.path("qemu"))]);
    let made = user.made();
    assert_eq!(made.len(), 1, "{said}");
    let begins = format!("-C {} M={}/own-module/", user.path("tree").display(), user.path("cache").display());
    assert!(made[0].starts_with(&begins) && made[0].ends_with(" ARCH=powerpc LLVM=1 modules"), "{made:?}");
    let steps: Vec<&str> = said.lines().filter(|line| line.starts_with("==>")).collect();
    assert_eq!(steps, [&format!("==> module (for {})", user.path("tree").display()), "==> busybox"]);
}

#[test]
fn module_is_built_again_when_the_tree_was() {
    let user = UserFiles::new();
    let tree = user.path("tree");
    let artifacts = || user.artifacts(&[("PAPR_UNPLUG_KERNEL_TREE", &tree), ("PAPR_UNPLUG_QEMU", &user.path("qemu"))]);
    artifacts();
    artifacts();
    assert_eq!(user.made().len(), 1);
    user.write("tree/vmlinux", "linked again");
    artifacts();
    assert_eq!(user.made().len(), 2);
}

#[test]
fn tree_that_was_not_built_is_said_before_any_work() {
    let user = UserFiles::new();
    fs::remove_file(user.path("tree/vmlinux")).unwrap();
    let said = user.artifacts(&[("PAPR_UNPLUG_KERNEL_TREE", &user.path("tree"))]);
    let expected = format!("PAPR_UNPLUG_KERNEL_TREE names {}, which has no vmlinux in it", user.path("tree").display());
    assert!(said.contains(&expected) && !said.contains("==>"), "{said}");
}

#[test]
fn tree_without_rust_takes_the_object_that_such_kernels_link() {
    let user = UserFiles::new();
    user.write("tree/.config", "CONFIG_KPROBES=y\n");
    let said =
        user.artifacts(&[("PAPR_UNPLUG_KERNEL_TREE", &user.path("tree")), ("PAPR_UNPLUG_QEMU", &user.path("qemu"))]);
    let steps: Vec<&str> = said.lines().filter(|line| line.starts_with("==>")).collect();
    // The object is compiled there.
    assert_eq!(steps, ["==> build root (Debian forky)"], "{said}");
    assert_eq!(user.made(), [""; 0]);
}

#[test]
fn qemu_that_is_not_there_is_said_before_any_work() {
    let user = UserFiles::new();
    let nowhere = user.path("nowhere");
    let said = user.artifacts(&[("PAPR_UNPLUG_KERNEL_TREE", &user.path("tree")), ("PAPR_UNPLUG_QEMU", &nowhere)]);
    let expected = format!("PAPR_UNPLUG_QEMU names {}, which is no file", nowhere.display());
    assert!(said.contains(&expected) && !said.contains("==>"), "{said}");
}

#[test]
fn qemu_without_firmware_names_the_variable_for_it() {
    let user = UserFiles::new();
    fs::remove_file(user.path("firmware/slof.bin")).unwrap();
    let said = user.artifacts(&[("PAPR_UNPLUG_QEMU", &user.path("qemu"))]);
    assert!(said.contains("knows no directory with slof.bin: set PAPR_UNPLUG_QEMU_DATA to one"), "{said}");

    let data = user.path("firmware");
    let said = user.artifacts(&[("PAPR_UNPLUG_QEMU", &user.path("qemu")), ("PAPR_UNPLUG_QEMU_DATA", &data)]);
    let expected = format!("PAPR_UNPLUG_QEMU_DATA names {}, which has no slof.bin in it", data.display());
    assert!(said.contains(&expected) && !said.contains("==>"), "{said}");
}
