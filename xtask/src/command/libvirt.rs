// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask libvirt`: the tests of what libvirt makes of it all, with a libvirt that is installed for them alone.

use anyhow::Result;

use crate::artifacts::Artifacts;
use crate::artifacts::flavour::Flavour;
use crate::artifacts::libvirt::Libvirt;
use crate::cache::store::Store;
use crate::command::test;

/// The variable that tells tests how libvirt's root is entered; `papr-unplug-tests` reads it.
const VARIABLE: &str = "PAPR_UNPLUG_LIBVIRT";

/// The package they are in.
const TESTS: &str = "papr-unplug-tests";

/// Tests whose names begin so need a QEMU that speaks the protocol.
const OURS: &str = "ours::";

/// Runs them.
pub(crate) fn run(store: &Store) -> Result<()> {
    let libvirt = store.ensure(&Libvirt)?;
    let artifacts = Artifacts::ensure(store, Flavour::Default)?;
    let mut filter = "binary(libvirt)".to_owned();
    if serde_json::to_value(&artifacts)?.get("qemu").is_none() {
        store.progress.say("    left out: the tests with a QEMU that speaks the protocol, for there is none yet");
        filter += &format!(" & not test(/^{OURS}/)");
    }
    let arguments = ["--package", TESTS, "--run-ignored", "only", "--success-output", "final", "-E", &filter];
    test::nextest(store, &artifacts, &arguments, &[(VARIABLE, &libvirt.path(Libvirt::ENTER))])
}
