// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask pci`: runs the tests about PCI devices, with a distribution's kernel and its programs.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel},
    cache::store::Store,
    command::test,
};
use anyhow::{Result, ensure};
use std::{fs, path::PathBuf};

/// The package of the tests.
const TESTS: &str = "papr-unplug-tests";

/// Runs the tests on this kernel, or those of them that `filters` name.
pub(crate) fn run(store: &Store, kernel: DebianKernel, filters: &[String]) -> Result<()> {
    let (artifacts, file) = artifacts(store, kernel)?;
    ensure!(artifacts.has_our_qemu(), "the tests need our QEMU, which is not built where you bring a QEMU");
    let mut arguments = vec!["--package", TESTS, "--test", "pci", "--run-ignored", "only"];
    arguments.extend(filters.iter().map(String::as_str));
    ensure!(test::nextest_with(store, &file, &arguments, &[])?, "tests failed");
    Ok(())
}

/// Makes what guests with this kernel and a distribution's programs are booted from. Returns it, and the file that lists
/// it for tests.
pub(crate) fn artifacts(store: &Store, kernel: DebianKernel) -> Result<(Artifacts, PathBuf)> {
    let artifacts = Artifacts::with_programs(store, kernel)?;
    let dir = store.settings.checkout.join("target/pci");
    fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{}.json", kernel.name()));
    fs::write(&file, serde_json::to_string_pretty(&artifacts)? + "\n")?;
    Ok((artifacts, file))
}
