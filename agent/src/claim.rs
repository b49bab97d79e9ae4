// SPDX-License-Identifier: MIT OR Apache-2.0

//! Claims on disks, by which nobody begins to use a disk while it is given back.

use crate::{
    function::Function,
    kernel::Kernel,
    usage::{self, Disk, Usage},
};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, open},
    io::Errno,
};

/// Claim on a disk, and so on its partitions: file systems, swap space, the device mapper and others that claim what they
/// stand on find it busy. It belongs to the process, and so also to a program that the process starts in its place
/// (`execve`).
#[derive(Debug)]
pub(crate) struct Claim {
    _disk: OwnedFd,
}

impl Claim {
    /// Claims each disk of functions. Returns the use of one that is claimed by others. A disk that cannot be opened for
    /// another reason stays unclaimed.
    pub(crate) fn all(kernel: &Kernel, functions: &[Function]) -> Result<Vec<Self>, Usage> {
        let disks = usage::disks(kernel, functions).into_iter().filter(Disk::is_whole);
        disks.filter_map(|disk| Self::take(kernel, &disk).transpose()).collect()
    }

    fn take(kernel: &Kernel, disk: &Disk) -> Result<Option<Self>, Usage> {
        // Not CREATE, so that EXCL is about block devices (Linux, `bd_may_claim`). Without CLOEXEC, for `drmgr`.
        match open(kernel.dev(&disk.name), OFlags::RDONLY | OFlags::EXCL | OFlags::NONBLOCK, Mode::empty()) {
            Ok(disk) => Ok(Some(Self { _disk: disk })),
            Err(Errno::BUSY) => Err(Usage::Claimed { disk: disk.name.clone() }),
            Err(_) => Ok(None),
        }
    }
}
