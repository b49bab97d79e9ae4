// SPDX-License-Identifier: MIT OR Apache-2.0

//! KASAN of the kernel that is built with it: it must find an error that is there. `cargo xtask test --kernel kasan`
//! builds that kernel and runs this test and the others.

use papr_unplug_tests::{artifacts::Artifacts, pairing::Pairing, vm::Vm};

/// The kernel's own test module (LKDTM) reads memory that it has freed.
#[test]
#[ignore = "boots a kernel with KASAN: cargo xtask test --kernel kasan"]
fn memory_read_after_it_was_freed_fails_the_inspection() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "kasan-kernel.read-after-free")?.up()?;
    vm.inspect()?;
    vm.guest.run("echo READ_AFTER_FREE > /sys/kernel/debug/provoke-crash/DIRECT")?;
    let error = vm.inspect().unwrap_err().to_string();
    assert!(error.contains("KASAN: slab-use-after-free"), "{error}");
    Ok(())
}
