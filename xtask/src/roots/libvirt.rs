// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's libvirt in a root of its own, which takes no privilege and no network and leaves the machine's libvirt
//! alone.

use crate::roots::root::{PLAIN, Root, TREE};
use anyhow::Result;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// The root that libvirt runs in.
pub(crate) const LIBVIRT_ROOT: Root = Root {
    kind: "libvirt",
    title: "libvirt",
    packages: "?essential libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu",
    needs: 400,
    fitted: &[("enter", ENTER_SCRIPT), ("fitted", "1")],
    fit,
    files: &[ENTER],
    ..PLAIN
};

/// The program in the artifact that runs a command in the root.
pub(crate) const ENTER: &str = "enter";

/// The text of [`ENTER`]. libvirt's session daemon runs as an ordinary user, but it needs a user that has a name, and
/// /sys.
const ENTER_SCRIPT: &str = r#"#!/bin/sh
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

/// Writes [`ENTER`] for the root in a directory.
pub(crate) fn write_enter(dir: &Path) -> Result<()> {
    let enter = dir.join(ENTER);
    fs::write(&enter, ENTER_SCRIPT)?;
    fs::set_permissions(&enter, fs::Permissions::from_mode(0o755)).map_err(Into::into)
}

/// Adds what [`ENTER`] relies on, and removes the QEMU that Debian's libvirt depends on: tests bring their own.
fn fit(dir: &Path) -> Result<()> {
    let tree = dir.join(TREE);
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
    write_enter(dir)
}
