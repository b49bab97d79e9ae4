// SPDX-License-Identifier: MIT OR Apache-2.0

//! Identities of requests, which no other request ever has, whatever happens to the VMM.

use anyhow::Result;
use papr_unplug_tests::{
    artifacts::Artifacts,
    device::dimm::ONE_LMB,
    pairing::{Pairing, Side},
    vm::Vm,
};
use serde_json::json;

/// PUE-V-020
#[test]
fn request_after_a_migration_has_a_number_of_its_own() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let mut vm = Vm::migratable(&artifacts, Pairing::OURS, "identities.source")?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    assert_eq!(vm.remove(&dimm)?.refusal(["request"])?, [json!(1)]);
    let mut vm = vm.migrate(&artifacts, Side::Ours, "identities.destination")?;
    assert_eq!(vm.remove(&dimm)?.refusal(["request"])?, [json!(2)]);
    vm.inspect()
}
