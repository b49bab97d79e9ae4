// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inspection of the guest's kernel after a test: its log, its taint flags, and its own checkers (lockdep, kmemleak).

use crate::{observe::kernel_log, vm::Vm};
use anyhow::{Result, ensure};

/// Taint flags of a kernel in which nothing went wrong: an out-of-tree module (bit 12), an unsigned module (bit 13),
/// and the kernel's unit tests (bit 18), which the debugging kernel runs.
const HARMLESS_TAINTS: u64 = 1 << 12 | 1 << 13 | 1 << 18;

/// Runs kmemleak and prints its findings. Kmemleak reports an object only if a second scan finds it unchanged, and 5
/// seconds after its allocation at the earliest (`update_checksum()` and `MSECS_MIN_AGE` in `mm/kmemleak.c`). Only the
/// guest's clock can tell when these have passed.
const LEAKS: &str = "cd /sys/kernel/debug && if [ -e kmemleak ]; then \
                     echo scan > kmemleak; sleep 5; echo scan > kmemleak; cat kmemleak; fi; cd /root";

impl Vm {
    /// Fails with all complaints about the guest's kernel, if there are any. Every story ends with it.
    pub fn inspect(&mut self) -> Result<()> {
        let mut complaints = Vec::new();
        let reports = kernel_log::reports(self.kernel_log()?);
        if !reports.is_empty() {
            complaints.push(format!("the guest's kernel complains:\n{}", reports.join("\n")));
        }
        let taints: u64 = self.guest.sh("cat /proc/sys/kernel/tainted")?.trim().parse()?;
        if taints & !HARMLESS_TAINTS != 0 {
            complaints.push(format!("the guest's kernel is tainted: {taints}, see Linux tainted-kernels.rst"));
        }
        let locks = self.guest.sh("if [ -e /proc/lockdep_stats ]; then cat /proc/lockdep_stats; fi")?;
        if is_off(&locks) {
            complaints.push(format!("lockdep has turned itself off:\n{locks}"));
        }
        let leaks = self.guest.sh(LEAKS)?;
        if !leaks.trim().is_empty() {
            complaints.push(format!("kmemleak has found:\n{leaks}"));
        }
        if let Some(mut host) = self.qemu.kvm_host()
            && let Err(complaint) = host.inspect()
        {
            complaints.push(format!("{complaint:#}"));
        }
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        Ok(())
    }

    /// Makes kmemleak forget what `function` of the kernel is known to leak. Fails if anything else was leaked.
    pub fn forget_leaks_below(&mut self, function: &str) -> Result<()> {
        let leaks = self.guest.sh(LEAKS)?;
        let others = others(&leaks, function);
        ensure!(others.is_empty(), "kmemleak has found:\n{}", others.concat());
        self.guest.sh("cd /sys/kernel/debug && if [ -e kmemleak ]; then echo clear > kmemleak; fi; cd /root")?;
        self.kernel_log()?;
        self.console.forget("new suspected memory leak");
        Ok(())
    }
}

/// Returns the findings of kmemleak whose backtrace does not contain `function`.
fn others<'a>(leaks: &'a str, function: &str) -> Vec<&'a str> {
    let frame = format!(" {function}+0x");
    leaks
        .split_inclusive("unreferenced object")
        .filter(|leak| leak.contains("backtrace") && !leak.contains(&frame))
        .collect()
}

/// Returns whether lockdep is built in and has turned itself off, which it does at its first report.
fn is_off(lockdep_stats: &str) -> bool {
    let on = |line: &str| line.trim().strip_prefix("debug_locks:").map(str::trim) == Some("1");
    !lockdep_stats.is_empty() && !lockdep_stats.lines().any(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leak_is_another_one_unless_its_backtrace_has_the_function() {
        let leaks = "unreferenced object 0xc1 (size 8):\n  backtrace (crc 1):\n    kstrdup+0x6c/0xcc\n    lost+0x1/0x8\n\
                     unreferenced object 0xc2 (size 8):\n  backtrace (crc 2):\n    kstrdup+0x6c/0xcc\n    not_lost+0x1/0x8\n";
        assert_eq!(others(leaks, "kstrdup"), <[&str; 0]>::default());
        let [other] = others(leaks, "lost")[..] else { panic!("{leaks}") };
        assert!(other.contains("not_lost"), "{other}");
    }

    #[test]
    fn lockdep_is_off_when_it_says_so_and_not_when_there_is_none() {
        assert!(is_off(" max lock depth:                      10\n debug_locks:                           0\n"));
        assert!(!is_off(" max lock depth:                      10\n debug_locks:                           1\n"));
        assert!(!is_off(""));
    }
}
