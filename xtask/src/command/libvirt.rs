// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask libvirt`: runs the tests with libvirt, which is unpacked into a root of its own.

use crate::{
    artifacts::{Artifacts, flavour::Flavour},
    cache::store::Store,
    command::test,
    roots::libvirt::{self, LIBVIRT_ROOT},
};
use anyhow::Result;

/// The variable with the program that runs commands beside libvirt; `papr-unplug-tests` reads it.
const VARIABLE: &str = "PAPR_UNPLUG_LIBVIRT";

/// The package of the tests.
const TESTS: &str = "papr-unplug-tests";

/// The prefix of tests that need a QEMU with this project's protocol.
const OURS: &str = "ours::";

/// Runs the tests.
pub(crate) fn run(store: &Store) -> Result<()> {
    let root = store.ensure(&LIBVIRT_ROOT)?;
    let artifacts = Artifacts::ensure(store, Flavour::Default)?;
    let mut filter = "binary(libvirt)".to_owned();
    if !artifacts.has_our_qemu() {
        store.progress.say("    left out: tests with our QEMU, which is not built where you bring a QEMU");
        filter += &format!(" & not test(/^{OURS}/)");
    }
    let arguments = ["--package", TESTS, "--run-ignored", "only", "--success-output", "final", "-E", &filter];
    test::nextest(store, &artifacts, &arguments, &[(VARIABLE, &root.path(libvirt::ENTER))])
}
