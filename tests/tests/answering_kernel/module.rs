// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest module on this kernel: it stays out (ADR 0079), and no request gets a second answer.

use crate::{ANSWERING, BY_TOKEN, CLASSES, answers::said};
use papr_unplug_tests::{
    artifacts::Artifacts, device::dimm::ONE_LMB, guest::loading::Loading, story::story, vmm::machine::Machine,
};
use papr_unplug_wire::wire::report::Opcode;
use serde_json::json;

#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn module_refuses_to_load_and_says_why() -> anyhow::Result<()> {
    let loading = Loading::watch(&Artifacts::find()?, Machine::Pseries, "answering-kernel.module")?;
    assert_eq!(loading.module_said(), ["this kernel answers the hypervisor by itself: the module is not needed"]);
    assert_eq!(loading.error(), Some("No such device"));
    Ok(())
}

/// PUE-G-030, PUE-G-037
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn neither_build_loads_and_the_promise_of_the_kernel_stands() {
    story(ANSWERING, |vm| {
        for module in ["papr_unplug.ko", "standalone/papr_unplug.ko"] {
            let insert = format!("insmod /lib/modules/{module} unsafe_kprobes=1");
            assert_ne!(vm.guest.run(&insert)?.status, 0, "{module} was loaded");
        }
        assert_eq!(vm.armed()?, json!(CLASSES));
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.refusal(["source"])?, [json!(BY_TOKEN)]);
        assert_eq!(said(&removal), [Opcode::STARTED, Opcode::REFUSED]);
        Ok(())
    });
}
