// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's libvirt, in a root of its own that anyone may run it in: no privilege, no network, nothing of the machine's
//! own libvirt.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::artifacts::root::{Root, inputs_of, install};
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::settings::Settings;

const PACKAGES: &[&str] = &["?essential", "libvirt-clients", "libvirt-daemon", "libvirt-daemon-driver-qemu"];

/// Enters the root. libvirt's session daemon does not insist on being root, as its system daemon does; it wants a user
/// that has a name, and /sys.
const ENTER: &str = r#"#!/bin/sh
# Runs a command beside libvirt, made by `cargo xtask libvirt`: enter STATE COMMAND [ARGUMENT...]
# The host's files are below /host. Only STATE can be written to; it is at /state, and everybody's home.
here=$(dirname -- "$(readlink -f -- "$0")")
state=$1
shift
exec bwrap --die-with-parent --unshare-all --unshare-user --uid 1000 --gid 1000 --hostname papr-unplug \
    --ro-bind "$here/tree" / --ro-bind / /host --bind "$state" /state \
    --dev /dev --proc /proc --ro-bind /sys /sys --perms 1777 --tmpfs /tmp --tmpfs /var \
    --clearenv --setenv PATH /usr/sbin:/usr/bin --setenv LC_ALL C.UTF-8 --setenv HOME /state \
    --setenv XDG_RUNTIME_DIR /state/run --setenv XDG_CONFIG_HOME /state/etc --setenv XDG_CACHE_HOME /state/cache \
    --setenv LIBVIRT_DEFAULT_URI qemu:///session -- "$@"
"#;

/// libvirt.
#[derive(Debug)]
pub(crate) struct Libvirt;

impl Libvirt {
    /// What to execute.
    pub(crate) const ENTER: &str = "enter";
}

impl Recipe for Libvirt {
    fn kind(&self) -> &'static str {
        "libvirt"
    }

    fn title(&self) -> String {
        "libvirt".to_owned()
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(inputs_of(PACKAGES)?.text("enter", ENTER).text("fitted", "1"))
    }

    fn needs(&self) -> u64 {
        400
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        let mut made = install(store, self.kind(), PACKAGES, dir)?;
        fit(&Root::tree_in(dir)).context("cannot fit the root out for libvirt")?;
        let enter = dir.join(Self::ENTER);
        fs::write(&enter, ENTER)?;
        fs::set_permissions(&enter, fs::Permissions::from_mode(0o755))?;
        made.files.push(Self::ENTER.into());
        Ok(made)
    }
}

/// Adds what `enter` relies on, and takes away the QEMU that Debian's libvirt insists on: tests bring theirs.
fn fit(tree: &Path) -> Result<()> {
    for point in ["host", "state"] {
        fs::create_dir(tree.join(point))?;
    }
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/state:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
    for entry in fs::read_dir(tree.join("usr/bin"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("qemu-system-") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
