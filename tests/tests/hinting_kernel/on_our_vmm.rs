// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest without the module on the patched QEMU: each refusal is one event, with the source `inferred`.

use papr_unplug_tests::{
    pairing::Pairing,
    removal::Retry,
    story::{scenario::Scenario, story},
};
use serde_json::json;

/// PUE-G-050, PUE-V-040
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn each_refusal_is_one_outcome_and_each_device_is_released_on_retry() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        for scenario in [Scenario::CpuLastOnline, Scenario::DimmFirstLmbBusy, Scenario::DimmLaterLmbBusy] {
            let device = scenario.arrange(vm)?;
            let expected = [json!("inferred"), json!("unattributed")];
            assert_eq!(vm.remove(&device)?.refusal(["source", "reason"])?, expected, "{scenario}");
            assert_eq!(vm.pending()?, json!([]), "{scenario}");
            scenario.relieve(vm)?;
            assert_eq!(vm.retry(&device)?, Retry::Accepted, "{scenario}");
        }
        Ok(())
    });
}
