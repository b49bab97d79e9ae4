// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading of the module where it cannot work: on a kernel without return probes, and on a machine without a
//! hypervisor. `cargo xtask test --kernel bare` builds that kernel and runs these tests.

use papr_unplug_tests::{artifacts::Artifacts, guest::loading::Loading, vmm::machine::Machine};

#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel bare"]
fn kernel_without_return_probes_is_refused() -> anyhow::Result<()> {
    let loading = Loading::watch(&Artifacts::find()?, Machine::Pseries, "bare-kernel.pseries")?;
    assert_eq!(loading.module_said(), ["this kernel has no return probes (CONFIG_KPROBES): refusals cannot be seen"]);
    assert_eq!(loading.error(), Some("Operation not supported"));
    Ok(())
}

#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel bare"]
fn machine_without_a_hypervisor_is_refused() -> anyhow::Result<()> {
    let loading = Loading::watch(&Artifacts::find()?, Machine::Powernv, "bare-kernel.powernv")?;
    assert_eq!(loading.module_said(), ["this is no pseries guest: no hypervisor asks for removals here"]);
    assert_eq!(loading.error(), Some("No such device"));
    Ok(())
}
