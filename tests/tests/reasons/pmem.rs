// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons of refusals of persistent memory. This VMM neither requests any nor takes reports about it. So a request for
//! a DIMM is rewritten, and the module's file `refusals` shows the reason.

use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    pairing::Pairing,
    removal::Outcome,
    report::occurrence::{
        Expectation,
        Means::{Fault, Rewritten},
    },
    story::story_on,
    trigger::fault::{NOT_ISOLATED, Override, overriding, rewritten},
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::{drc::DrcIndex, reason::Reason};

const NVDIMM: DrcIndex = DrcIndex(0x9000_0000);
const NONE_OF_THE_GUESTS: DrcIndex = DrcIndex(0x9000_0001);

/// PUE-G-036
#[test]
fn persistent_memory_that_stays() {
    const OPTIONS: [&str; 6] = [
        "-machine",
        "nvdimm=on",
        "-object",
        "memory-backend-ram,id=nvdimm0-ram,size=268566528",
        "-device",
        "nvdimm,id=nvdimm0,memdev=nvdimm0-ram,label-size=128K,uuid=75a3cdd7-6a2f-4791-8d15-fe0a920e8e9e",
    ];
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_options(OPTIONS), |vm| {
        let detach = Override::always("of_detach_node", -22);
        let cases = [
            (Rewritten, "no such region", NONE_OF_THE_GUESTS, None, Reason::NO_SUCH_RESOURCE, 19),
            (Fault, "of_detach_node() fails", NVDIMM, Some(detach), Reason::DETACH_FAILED, 22),
            (Fault, "rtas_set_indicator(9001) fails", NVDIMM, Some(NOT_ISOLATED), Reason::FIRMWARE_REFUSED, 5),
        ];
        for (means, how, drc, cut, reason, errno) in cases {
            trigger(vm, &Expectation { means, how, reason, errno, drc }, cut)?;
        }
        Ok(())
    });
}

/// Adds a DIMM and requests it, with the request rewritten to one for persistent memory. The host gets no report, and
/// gets its DIMM when it requests it again.
fn trigger(vm: &mut Vm, case: &Expectation<'_>, cut: Option<Override<'_>>) -> Result<()> {
    let dimm = vm.plug_dimm(ONE_LMB)?;
    let [a, b, c, d] = case.drc.0.to_be_bytes();
    let functions = cut.map(|cut| overriding(&[cut])).unwrap_or_default();
    vm.begin_fault(&format!("{} {functions}", rewritten([6, 2, 2, 0, a, b, c, d, 0, 0, 0, 0])))?;
    let removal = vm.remove(&dimm)?;
    vm.end_fault()?;
    assert_eq!(removal.outcome, Outcome::Silent);
    let refusal = vm.refusals()?.pop().context("the module's list is empty")?;
    let member = |name| refusal.get(name).unwrap_or_default().to_owned();
    let expected = ["pmem".to_owned(), case.drc.to_string(), case.reason.to_string(), format!("-{}", case.errno)];
    assert_eq!(["resource", "connector", "reason", "errno"].map(member), expected, "{case}");
    let told = format!("nothing; the module's list: {}, errno {}, connector {}", case.reason, case.errno, case.drc);
    vm.record("pmem", case, &told)?;
    assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
    Ok(())
}
