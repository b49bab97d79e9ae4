// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checkers of the debugging kernel, and what only that kernel has. A checker that finds nothing proves something only
//! if it finds what is there. `cargo xtask test --kernel debug` builds that kernel and runs these tests and the others.

mod faults;
mod kexec;

use papr_unplug_tests::{artifacts::Artifacts, pairing::Pairing, story::story, vm::Vm};

/// `test_lockup` of the kernel takes the lock of a file's mappings and then that of a process's memory. Mapping a file,
/// which every program does, takes them in the other order.
#[test]
#[ignore = "boots a kernel with lockdep: cargo xtask test --kernel debug"]
fn locks_taken_in_the_wrong_order_fail_the_inspection() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "debug-kernel.locks")?.up()?;
    vm.inspect()?;
    let parameters = "file_path=/bin/busybox lock_mapping=1 lock_mmap_sem=1 time_nsecs=1 state=R";
    vm.guest.run(&format!("insmod /lib/modules/test_lockup.ko {parameters}"))?;
    let error = vm.inspect().unwrap_err().to_string();
    assert!(error.contains("possible circular locking dependency detected"), "{error}");
    assert!(error.contains("lockdep has turned itself off"), "{error}");
    Ok(())
}

#[test]
#[ignore = "boots a kernel with kmemleak: cargo xtask test --kernel debug"]
fn lost_memory_fails_the_inspection() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "debug-kernel.leak")?.up()?;
    vm.inspect()?;
    vm.guest.sh("insmod /lib/modules/kmemleak-test.ko")?;
    let error = vm.inspect().unwrap_err().to_string();
    assert!(error.contains("kmemleak has found:") && error.contains("unreferenced object"), "{error}");
    Ok(())
}

/// KUnit tests of the module's logic run on the guest's CPU each time the module is loaded.
#[test]
#[ignore = "boots a kernel with KUnit: cargo xtask test --kernel debug"]
fn module_passes_its_unit_tests_on_the_guests_cpu() {
    story(Pairing::OURS, |vm| {
        let results = vm.guest.sh("cat /sys/kernel/debug/kunit/papr_unplug/results")?;
        println!("{results}");
        let passed = results.lines().filter(|line| line.starts_with("    ok ")).count();
        assert!(passed > 0 && !results.contains("not ok "), "{results}");
        assert!(results.contains(&format!("# Totals: pass:{passed} fail:0 skip:0 total:{passed}")), "{results}");
        Ok(())
    });
}
