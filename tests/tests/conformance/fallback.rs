// SPDX-License-Identifier: MIT OR Apache-2.0

//! VMM that stops taking reports: the guest then sends hints about refusals.

use anyhow::Result;
use papr_unplug_tests::{
    device::dimm::{ONE_LMB, TWO_LMBS},
    pairing::Pairing,
    removal::{Outcome, Removal},
    story::story,
    vm::Vm,
};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::{Value, json};

/// PUE-G-040, PUE-G-050
#[test]
fn refusals_are_hinted_at_when_the_host_takes_no_reports_any_more() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        take_no_reports(vm)?;
        for _ in 0..2 {
            assert_eq!(hinted(&vm.remove(&dimm)?)?, ([dimm.connector(0)].into(), json!("inferred")));
        }
        assert_eq!(promise(vm)?, "offered none");
        assert_eq!(vm.counters()?.nonzero(), [("refused", 2), ("requests", 2), ("told_by_module", 2)]);
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-040, PUE-G-050: the guest has sent STARTED, and gets -3 for its REFUSED.
#[test]
fn refusal_is_hinted_at_when_the_host_stops_taking_reports_in_the_middle_of_an_attempt() {
    story(Pairing::OURS, |vm| {
        let (dimm, pages, request) = vm.removal_under_way()?;
        take_no_reports(vm)?;
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        assert_eq!(hinted(&vm.watch(request)?)?, ([dimm.connector(0)].into(), json!("inferred")));
        assert_eq!(promise(vm)?, "offered none");
        Ok(())
    });
}

/// PUE-G-050: a refusal about which the kernel sends a hint gets no second hint.
#[test]
fn refusal_that_the_kernel_hints_at_is_told_once_when_the_host_takes_no_reports_any_more() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        take_no_reports(vm)?;
        assert_eq!(hinted(&vm.remove(&dimm)?)?, ([dimm.connector(0)].into(), json!("inferred")));
        assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_kernel", 1)]);
        Ok(())
    });
}

/// Returns the connectors that were unisolated, and the source of the only event.
fn hinted(removal: &Removal) -> Result<(Vec<DrcIndex>, Value)> {
    let [source] = removal.refusal(["source"])?;
    Ok((removal.unisolated(), source))
}

/// Ends the offer, as a user does before a migration to a VMM that takes no reports.
pub(crate) fn take_no_reports(vm: &mut Vm) -> Result<()> {
    let off = json!({ "path": "/machine", "property": "unplug-reports", "value": false });
    vm.qmp.execute("qom-set", off)?;
    assert_eq!(vm.armed()?, json!([]));
    Ok(())
}

fn promise(vm: &mut Vm) -> Result<String> {
    Ok(vm.guest.sh("cat /sys/kernel/debug/papr_unplug/promise")?.trim().to_owned())
}
