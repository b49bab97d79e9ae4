// SPDX-License-Identifier: MIT OR Apache-2.0

//! A host that takes reports no longer: what was promised to it is told by hints from then on.

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
            assert_eq!(hinted(&vm.remove(&dimm)?), ([dimm.connector(0)].into(), json!("inferred")));
        }
        assert_eq!(promise(vm)?, "offered none");
        assert_eq!(vm.counters()?.nonzero(), [("refused", 2), ("requests", 2), ("told_by_module", 2)]);
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-040, PUE-G-050: the guest has said STARTED, and its REFUSED is answered by -3.
#[test]
fn refusal_is_hinted_at_when_the_host_stops_taking_reports_in_the_middle_of_an_attempt() {
    story(Pairing::OURS, |vm| {
        let (dimm, holder, asked) = vm.removal_under_way()?;
        take_no_reports(vm)?;
        vm.veto_offlining()?;
        vm.let_go(holder)?;
        assert_eq!(hinted(&vm.watch(asked)?), ([dimm.connector(0)].into(), json!("inferred")));
        assert_eq!(promise(vm)?, "offered none");
        Ok(())
    });
}

/// A request that the kernel answers by itself stays told once.
#[test]
fn refusal_that_the_kernel_hints_at_is_told_once_when_the_host_takes_no_reports_any_more() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        take_no_reports(vm)?;
        assert_eq!(hinted(&vm.remove(&dimm)?), ([dimm.connector(0)].into(), json!("inferred")));
        assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_kernel", 1)]);
        Ok(())
    });
}

/// What is unisolated, and how it is known, of a refusal that was told once.
fn hinted(removal: &Removal) -> (Vec<DrcIndex>, Value) {
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
    let source = removal.events[0].body.data("source").cloned().unwrap_or_default();
    (removal.unisolated(), source)
}

/// As a user does before a migration to a VMM that takes none.
pub(crate) fn take_no_reports(vm: &mut Vm) -> Result<()> {
    let off = json!({ "path": "/machine", "property": "unplug-reports", "value": false });
    vm.qmp.execute("qom-set", off)?;
    assert_eq!(vm.armed()?, json!([]));
    Ok(())
}

fn promise(vm: &mut Vm) -> Result<String> {
    Ok(vm.guest.sh("cat /sys/kernel/debug/papr_unplug/promise")?.trim().to_owned())
}
