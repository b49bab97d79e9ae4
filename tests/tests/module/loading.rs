// SPDX-License-Identifier: MIT OR Apache-2.0

//! Refusal to load where the module has nothing to do. Two more such places need a kernel of their own, see
//! `tests/bare_kernel`.

use papr_unplug_tests::{artifacts::Artifacts, guest::loading::Loading, vmm::machine::Machine};

#[test]
fn firmware_without_set_indicator_is_refused() -> anyhow::Result<()> {
    let loading =
        Loading::watch(&Artifacts::find()?, Machine::PseriesWithoutSetIndicator, "loading.without-set-indicator")?;
    assert_eq!(
        loading.module_said(),
        ["this machine's firmware has no RTAS calls for DR connectors: refusals cannot be told"]
    );
    assert_eq!(loading.error(), Some("No such device"));
    Ok(())
}

/// The kernel of the tests is preemptible and has no fprobes. That it has the fix cannot be seen.
#[test]
fn kernel_that_kprobes_can_crash_needs_a_parameter() -> anyhow::Result<()> {
    let loading = Loading::watch(&Artifacts::find()?, Machine::Pseries, "loading.preemptible")?;
    assert_eq!(
        loading.module_said(),
        ["probes can crash this kernel, which is preemptible; if it has the fix, load with unsafe_kprobes=1"]
    );
    assert_eq!(loading.error(), Some("Operation not supported"));
    Ok(())
}
