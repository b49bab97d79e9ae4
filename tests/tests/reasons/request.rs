// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that this VMM does not send and another one may: by index, by count, or malformed. They are rewritten in
//! the guest before the kernel reads them; token and answer are those of the VMM's own request.

use papr_unplug_tests::{
    device::dimm::{Dimm, ONE_LMB},
    pairing::Pairing,
    removal::Retry,
    report::occurrence::{
        Expectation,
        Means::{Driver, Rewritten},
    },
    story::story,
    trigger::fault::rewritten,
};
use papr_unplug_wire::wire::reason::Reason;

/// Flags of an LMB in LoPAR's `ibm,dynamic-memory`.
const ASSIGNED: u32 = 0x08;
const RESERVED: u32 = 0x80;

/// PUE-G-036
#[test]
fn lmb_that_the_kernels_table_excludes() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        for (flags, how, reason) in [
            (ASSIGNED | RESERVED, "by index, the LMB is reserved in the kernel's table", Reason::LMB_RESERVED),
            (0, "by index, the LMB is not assigned in the kernel's table", Reason::LMB_NOT_ASSIGNED),
        ] {
            let table = vm.lmb_flags(dimm.connector(0), flags)?;
            vm.begin_fault(&format!("{} {table}", rewritten(by_index(&dimm))))?;
            let case = Expectation { means: Driver, how, reason, errno: 22, drc: dimm.connector(0) };
            vm.trigger(&dimm, &case)?;
            vm.end_fault()?;
        }
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-032, PUE-G-036: the index of the answer is that of the busy LMB, not of an LMB that is not assigned.
#[test]
fn count_of_lmbs_that_is_not_to_be_had() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        vm.begin_fault(&rewritten([2, 2, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0]))?;
        let how = "one LMB by count, the only one is busy";
        let case =
            Expectation { means: Rewritten, how, reason: Reason::NOT_ENOUGH_LMBS, errno: 16, drc: dimm.connector(0) };
        vm.trigger(&dimm, &case)?;
        vm.end_fault()?;
        vm.allow_offlining()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-031
#[test]
fn count_of_zero_lmbs() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let [a, b, c, d] = dimm.connector(0).0.to_be_bytes();
        vm.begin_fault(&rewritten([2, 2, 4, 0, 0, 0, 0, 0, a, b, c, d]))?;
        let how = "zero LMBs by index and count";
        let case = Expectation { means: Rewritten, how, reason: Reason::MALFORMED, errno: 22, drc: dimm.connector(0) };
        vm.trigger(&dimm, &case)?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

fn by_index(dimm: &Dimm) -> [u8; 12] {
    let [a, b, c, d] = dimm.connector(0).0.to_be_bytes();
    [2, 2, 2, 0, a, b, c, d, 0, 0, 0, 0]
}
