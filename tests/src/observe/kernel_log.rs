// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reports in a kernel log: warnings, oopses, and the findings of the kernel's checkers.

/// First words of a panic.
const PANIC: &str = "Kernel panic";

/// Words that only the kernel prints, in lines that begin a report.
const REPORTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "BUG ", // SLUB: "BUG kmalloc-64 (Tainted: G): Poison overwritten"
    "Oops:",
    PANIC,
    "Unable to handle kernel",
    "kernel tried to execute",
    "Call Trace:",
    "cut here",
    "DEBUG_LOCKS_WARN_ON",
    "INFO: possible",
    "INFO: task",
    "INFO: trying to register non-static key",
    "INFO: inconsistent lock state",
    "INFO: suspicious RCU usage",
    "INFO: rcu",
    "rcu: INFO:",
    "detected stall",
    "possible circular locking dependency",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "Invalid wait context",
    "sleeping function called from invalid context",
    "scheduling while atomic",
    "new suspected memory leak",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "UBSAN:",
    "KASAN:",
    "KCSAN:",
    "KFENCE:",
    "soft lockup",
    "hard LOCKUP",
    "Bad page state",
    "page allocation failure",
    "Out of memory",
    "rust_kernel: panicked",
];

/// Returns the lines that belong to a report.
pub fn reports<'a>(log: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let is_report = |line: &&str| REPORTS.iter().any(|report| line.contains(report));
    log.into_iter().map(String::as_str).filter(is_report).collect()
}

/// Returns whether the kernel has panicked.
pub fn has_panic(log: &[String]) -> bool {
    log.iter().any(|line| line.contains(PANIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let log: Vec<String> = text.lines().map(str::to_owned).collect();
        reports(&log).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn log_of_a_refused_removal_holds_no_report() {
        let text = "\
[    2.1] pseries-hotplug-mem: Attempting to hot-remove 2 LMB(s) at 80000008
[    2.2] Injecting error (-16) to MEM_GOING_OFFLINE
[    2.3] pseries-hotplug-mem: Memory indexed-count-remove failed, adding any removed LMBs
[    2.4] papr_unplug: refused: memory 0x80000008, LMB 0x80000008, error -16; the hypervisor was told
[    2.5] page dumped because: unmovable page
[    2.6] papr_unplug: loading out-of-tree module taints kernel.
[    2.7] pseries-hotplug-cpu: Unable to remove last online CPU PowerPC,POWER9";
        assert_eq!(found(text), <[&str; 0]>::default());
    }

    #[test]
    fn each_kind_of_report_is_found() {
        for line in [
            "[    1.0] WARNING: CPU: 0 PID: 9 at kernel/locking/lockdep.c:4412 lockdep_hardirqs_on_prepare+0x1d0/0x2e0",
            "[    1.0] WARNING: possible circular locking dependency detected",
            "[    1.0] WARNING: suspicious RCU usage",
            "[    1.0] BUG: sleeping function called from invalid context at arch/powerpc/kernel/rtas.c:1300",
            "[    1.0] BUG: scheduling while atomic: kworker/u16:0/10/0x00000002",
            "[    1.0] BUG kmalloc-64 (Tainted: G           O): Poison overwritten",
            "[    1.0] BUG: Kernel NULL pointer dereference on read at 0x00000000",
            "[    1.0] Oops: Kernel access of bad area, sig: 11 [#1]",
            "[    1.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    1.0] INFO: task kworker/u16:0:10 blocked for more than 120 seconds.",
            "[    1.0] kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[    1.0] rust_kernel: panicked at guest-module/logic/watch.rs:1:1:",
        ] {
            assert_eq!(found(line), [line]);
        }
    }
}
