// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests of different levels in the same VMM program.

use anyhow::Result;
use papr_unplug_tests::{artifacts::Artifacts, pairing::Pairing, removal::Request, story::scenario::Scenario, vm::Vm};
use serde_json::{Value, json};

/// PUE-V-032, PUE-V-040: a refusal ends no request of another guest, and each is reported as that guest can report it.
#[test]
fn armed_guest_and_stock_guest_at_a_time_are_each_told_right() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let booting = [(Pairing::OURS, "levels.armed"), (Pairing::STOCK_ON_OURS, "levels.stock")]
        .map(|(pairing, name)| Vm::launch(&artifacts, pairing, name));
    let [armed, stock] = booting.map(|booting| booting.and_then(papr_unplug_tests::vm::Booting::up));
    let mut vms = [armed?, stock?];
    for scenario in [Scenario::CpuLastOnline, Scenario::DimmLaterLmbBusy] {
        let mut request: Vec<Request> = Vec::new();
        for vm in &mut vms {
            let stage = scenario.arrange(vm)?;
            request.push(vm.request(&stage)??);
        }
        let reason = if scenario == Scenario::CpuLastOnline { "last-cpu" } else { "memory-veto" };
        let expected = [["reported-by-token", reason], ["inferred", "unattributed"]];
        for ((vm, request), expected) in vms.iter_mut().zip(request).zip(expected) {
            assert_eq!(vm.watch(request)?.refusal(["source", "reason"])?, expected.map(Value::from), "{scenario}");
            scenario.relieve(vm)?;
        }
    }
    for vm in &mut vms {
        assert_eq!(vm.qmp.execute("query-device-unplug-requests", json!({}))?["requests"], json!([]));
        vm.inspect()?;
    }
    Ok(())
}
