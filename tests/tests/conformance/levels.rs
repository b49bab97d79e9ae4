// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests of different levels on one host.

use anyhow::Result;
use papr_unplug_tests::{
    artifacts::Artifacts,
    pairing::Pairing,
    removal::{Asked, Outcome},
    story::scenario::Scenario,
    vm::Vm,
};
use serde_json::{Value, json};

/// PUE-V-032, PUE-V-040: the refusal of one guest ends no request of the other, and each is told as that guest can tell it.
#[test]
fn armed_guest_and_stock_guest_at_a_time_are_each_told_right() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let booting = [(Pairing::OURS, "levels.armed"), (Pairing::STOCK_ON_OURS, "levels.stock")]
        .map(|(pairing, name)| Vm::launch(&artifacts, pairing, name));
    let [armed, stock] = booting.map(|booting| booting.and_then(papr_unplug_tests::vm::Booting::up));
    let mut vms = [armed?, stock?];
    for scenario in [Scenario::CpuLastOnline, Scenario::DimmLaterLmbBusy] {
        let mut asked: Vec<Asked> = Vec::new();
        for vm in &mut vms {
            let stage = scenario.arrange(vm)?;
            asked.push(vm.ask(&stage)??);
        }
        let reason = if scenario == Scenario::CpuLastOnline { "last-cpu" } else { "memory-veto" };
        let expected = [("reported-by-token", reason), ("inferred", "unattributed")];
        for ((vm, asked), expected) in vms.iter_mut().zip(asked).zip(expected) {
            assert_eq!(told(vm, asked)?, [Value::from(expected.0), Value::from(expected.1)], "{scenario}");
            scenario.relieve(vm)?;
        }
    }
    for vm in &mut vms {
        assert_eq!(vm.qmp.execute("query-device-unplug-requests", json!({}))?["requests"], json!([]));
        vm.inspect()?;
    }
    Ok(())
}

/// Source and reason of the one event that there was.
fn told(vm: &mut Vm, asked: Asked) -> Result<[Value; 2]> {
    let removal = vm.watch(asked)?;
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
    Ok(["source", "reason"].map(|member| removal.events[0].body.data(member).cloned().unwrap_or_default()))
}
