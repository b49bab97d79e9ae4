// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory footprint of a VMM and of its guest's kernel, which must not grow for ever.

use crate::vm::Vm;
use anyhow::{Context as _, Result};
use std::{fmt, fs};

/// Size of the mapping that holds the guest's memory, in KiB; smaller ones are QEMU's own.
const LARGE: u64 = 128 << 10;

/// Footprint, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory of the VMM, without the guest's memory and translated code, which have bounds of their own.
    pub vmm: u64,
    /// Memory of the guest's slab allocator.
    pub slab: u64,
}

impl Footprint {
    /// Measures the footprint.
    pub fn of(vm: &mut Vm) -> Result<Self> {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", vm.qemu.pid())).context("the VMM is gone")?;
        // Caches that the kernel can drop at any time are dropped first.
        let meminfo = vm.guest.sh("sync; echo 3 > /proc/sys/vm/drop_caches; cat /proc/meminfo")?;
        let slab = meminfo.lines().find_map(|line| kib(line, "Slab:")).context("the guest knows of no slab")?;
        Ok(Self { vmm: own(&smaps), slab })
    }

    /// Returns the growth of the VMM and of the slab since `other`.
    pub fn growth_since(self, other: Self) -> (u64, u64) {
        (self.vmm.saturating_sub(other.vmm), self.slab.saturating_sub(other.slab))
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VMM {} KiB, guest's slab {} KiB", self.vmm, self.slab)
    }
}

fn kib(line: &str, name: &str) -> Option<u64> {
    line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Returns the resident memory of all mappings that are neither large nor translated code (writable and executable).
/// (Linux `Documentation/filesystems/proc.rst`: a mapping begins with a line of its addresses and permissions; `Size`
/// comes before `Rss`.)
fn own(smaps: &str) -> u64 {
    let mut is_code = false;
    let mut size = 0;
    let mut sum = 0;
    for line in smaps.lines() {
        if let Some(kib) = kib(line, "Size:") {
            size = kib;
        } else if let Some(kib) = kib(line, "Rss:") {
            sum += if size < LARGE && !is_code { kib } else { 0 };
        } else if let Some((range, permissions)) = line.split_once(' ')
            && range.contains('-')
        {
            is_code = permissions.starts_with("rwx");
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_mappings_and_translated_code_are_not_counted() {
        let smaps = "7f00-7f01 rw-p\nSize:        2097152 kB\nRss:          900000 kB\n\
                     7e00-7e01 rwxp 0\nSize:          16000 kB\nRss:           16000 kB\n\
                     5500-5501 rw-p [heap]\nSize:           4096 kB\nKernelPageSize:        4 kB\nRss:            3000 kB\n\
                     5600-5601 r-xp qemu\nSize:          30000 kB\nRss:           12000 kB\n";
        assert_eq!(own(smaps), 15_000);
    }
}
