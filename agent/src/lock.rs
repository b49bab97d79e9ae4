// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lock that reconfigurations of the guest take.

use rustix::{
    fd::OwnedFd,
    fs::{FlockOperation, Mode, OFlags, fcntl_lock, open},
    io::{Errno, retry_on_intr},
};
use std::path::Path;

/// The file that `drmgr` and `lsslot` lock.
pub(crate) const FILE: &str = "/var/lock/dr_config_lock";

/// Lock that reconfigurations of the guest take. It belongs to the process, and so also to a program that the process
/// starts in its place (`execve`).
#[derive(Debug)]
pub(crate) struct Lock {
    _file: OwnedFd,
}

impl Lock {
    /// Waits for the lock and takes it. (`drmgr` itself gives up at once if it is taken.)
    pub(crate) fn take(file: &Path) -> Result<Self, Errno> {
        // Without CLOEXEC: a process loses its locks on a file when it closes any descriptor of it.
        let file = open(file, OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o444))?;
        retry_on_intr(|| fcntl_lock(&file, FlockOperation::LockExclusive))?;
        Ok(Self { _file: file })
    }
}
