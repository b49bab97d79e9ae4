// SPDX-License-Identifier: MIT OR Apache-2.0

//! VMM that stops taking reports: the kernel then signals refusals as it does where nothing is offered.

use crate::{ANSWERING, BY_TOKEN};
use anyhow::Result;
use papr_unplug_tests::{device::dimm::ONE_LMB, removal::Outcome, story::story, vm::Vm};
use serde_json::json;

/// PUE-G-040, PUE-G-050
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn refusals_are_hinted_at_when_the_host_takes_no_reports_any_more() {
    story(ANSWERING, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!(BY_TOKEN)]);
        take_no_reports(vm)?;
        for _ in 0..2 {
            let removal = vm.remove(&dimm)?;
            assert_eq!(removal.refusal(["source"])?, [json!("inferred")]);
            assert_eq!(removal.unisolated(), [dimm.connector(0)]);
        }
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-040, PUE-G-050: the guest has sent STARTED, and gets -3 for its REFUSED. Before, it has brought the first LMB back,
/// which is a hint.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn refusal_is_hinted_at_when_the_host_stops_taking_reports_in_the_middle_of_an_attempt() {
    story(ANSWERING, |vm| {
        let (_dimm, pages, request) = vm.removal_under_way()?;
        take_no_reports(vm)?;
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        let removal = vm.watch(request)?;
        assert_eq!(removal.refusal(["source"])?, [json!("inferred")]);
        assert_eq!(removal.unisolated(), []);
        Ok(())
    });
}

/// Ends the offer, as a user does before a migration to a VMM that takes no reports.
pub(crate) fn take_no_reports(vm: &mut Vm) -> Result<()> {
    let off = json!({ "path": "/machine", "property": "unplug-reports", "value": false });
    vm.qmp.execute("qom-set", off)?;
    assert_eq!(vm.armed()?, json!([]));
    Ok(())
}
