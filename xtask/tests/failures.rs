// SPDX-License-Identifier: MIT OR Apache-2.0

//! Messages for the user when the machine lacks something. Each run has an empty cache of its own.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};
use tempfile::TempDir;

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// Runs `artifacts --json` under `wrapper`, expects it to fail, and returns its standard error.
fn refused(cache: &Path, wrapper: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).env("PAPR_UNPLUG_CACHE", cache);
    for unset in ["PAPR_UNPLUG_KERNEL_TREE", "PAPR_UNPLUG_QEMU", "PAPR_UNPLUG_QEMU_DATA", "PAPR_UNPLUG_MIRROR"] {
        command.env_remove(unset);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it succeeded, and said:\n{said}");
    assert!(output.stdout.is_empty(), "nothing but the JSON object belongs on standard output");
    said
}

/// Returns the directories of artifacts, complete or not.
fn artifacts_in(cache: &Path) -> Vec<String> {
    let kinds = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).filter(|kind| !kind.ends_with("log"));
    let entries = kinds.flat_map(|kind| fs::read_dir(kind).unwrap()).map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect()
}

#[test]
fn mirror_that_cannot_be_reached_names_the_variable_and_the_log() {
    let cache = TempDir::new().unwrap();
    // No program listens on port 9 of this machine.
    let said =
        refused(cache.path(), &[XTASK, "artifacts", "--json"], &[("PAPR_UNPLUG_MIRROR", "http://127.0.0.1:9/debian")]);
    assert!(said.contains("set PAPR_UNPLUG_MIRROR"), "{said}");
    assert!(said.contains(&format!("log: {}/log/root.log", cache.path().display())), "{said}");
    assert_eq!(artifacts_in(cache.path()), Vec::<String>::new());
}

#[test]
fn no_network_is_told_as_such() {
    let cache = TempDir::new().unwrap();
    let alone = ["unshare", "--user", "--map-root-user", "--net", XTASK, "artifacts", "--json"];
    let said = refused(cache.path(), &alone, &[("PAPR_UNPLUG_MIRROR", "http://mirror.invalid/debian")]);
    assert!(said.contains("the Debian mirror cannot be reached: check the network"), "{said}");
    assert_eq!(artifacts_in(cache.path()), Vec::<String>::new());
}

#[test]
fn small_disk_is_told_before_any_work() {
    let cache = TempDir::new().unwrap();
    let script = "mount -t tmpfs -o size=100m small \"$PAPR_UNPLUG_CACHE\" && exec \"$0\" artifacts --json";
    let said =
        refused(cache.path(), &["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, XTASK], &[]);
    assert!(said.contains("the disk is full") && said.contains("takes 4"), "{said}");
    assert!(said.contains(&cache.path().display().to_string()) && said.contains("PAPR_UNPLUG_CACHE"), "{said}");
    assert!(!said.contains("==>"), "it began to work:\n{said}");
}

#[test]
fn missing_package_without_root_names_the_command() {
    let cache = TempDir::new().unwrap();
    let path = TempDir::new().unwrap();
    for program in ["apt-get", "dpkg-deb", "setpriv", "tar"] {
        symlink(Path::new("/usr/bin").join(program), path.path().join(program)).unwrap();
    }
    let user = ["/usr/bin/unshare", "--user", "--map-user=1000", "--map-group=1000", XTASK, "artifacts", "--json"];
    let said = refused(cache.path(), &user, &[("PATH", path.path().to_str().unwrap())]);
    assert!(said.contains("`sudo apt-get install bubblewrap`"), "{said}");
}

#[test]
fn cache_that_cannot_be_written_names_the_variable() {
    let said = refused(Path::new("/proc/papr-unplug"), &[XTASK, "artifacts", "--json"], &[]);
    assert!(
        said.contains("cannot make /proc/papr-unplug/log: set PAPR_UNPLUG_CACHE to a directory you can write to"),
        "{said}"
    );
}

#[test]
fn missing_test_tools_without_root_name_the_command() {
    let cache = TempDir::new().unwrap();
    let path = TempDir::new().unwrap();
    symlink("/usr/bin/cc", path.path().join("cc")).unwrap();
    let user = ["/usr/bin/unshare", "--user", "--map-user=1000", "--map-group=1000", XTASK, "test"];
    let said = refused(cache.path(), &user, &[("PATH", path.path().to_str().unwrap())]);
    assert!(said.contains("`sudo apt-get install binutils pkgconf valgrind`"), "{said}");
}

#[test]
fn prefix_that_cannot_be_written_is_told_before_anything_is_built() {
    let cache = TempDir::new().unwrap();
    let said = refused(cache.path(), &[XTASK, "install", "--prefix", "/proc/papr-unplug"], &[]);
    assert!(said.contains("cannot make /proc/papr-unplug/include; choose another place with --prefix"), "{said}");
    assert!(!said.contains("building"), "{said}");
}
