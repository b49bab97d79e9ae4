// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask newcomer`: has a test type the README's commands into a Debian that boots with systemd, and into a host's
//! root.

use crate::{
    artifacts::{Artifacts, flavour::Flavour},
    cache::Store,
    command::{
        package::{self, Format},
        test,
    },
    roots::installed::InstalledRoot,
};
use anyhow::{Result, ensure};

/// Makes the packages and the roots, and runs the test.
pub(crate) fn run(store: &Store) -> Result<()> {
    package::run(store, Format::Deb)?;
    let artifacts = Artifacts::ensure(store, Flavour::Default)?;
    ensure!(artifacts.has_our_qemu(), "the test needs our QEMU, which is not built where you bring a QEMU");
    let [guest, host] = store.ensure_all([&InstalledRoot::Bootable.recipe(), &InstalledRoot::Host.recipe()])?;
    let variables = [
        ("PAPR_UNPLUG_PACKAGES", store.settings.checkout.join("target/packages")),
        ("PAPR_UNPLUG_GUEST", guest.tree()),
        ("PAPR_UNPLUG_GUEST_PACKAGES", guest.path(InstalledRoot::MORE)),
        ("PAPR_UNPLUG_HOST", host.tree()),
    ];
    let arguments = ["--package", "papr-unplug-tests", "--test", "newcomer", "--run-ignored", "all"];
    let variables = variables.each_ref().map(|(name, path)| (*name, path.as_path()));
    test::nextest(store, (&artifacts, test::FILE), &arguments, &variables)
}
