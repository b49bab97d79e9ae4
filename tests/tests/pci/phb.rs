// SPDX-License-Identifier: MIT OR Apache-2.0

//! PHBs. Debian's `drmgr` needs the kernel module `rpadlpar_io` for them.

use crate::{open, reported};
use papr_unplug_tests::{
    device::pci::Phb,
    pairing::Pairing,
    removal::Outcome,
    story::story_on,
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::Value;

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_without_a_driver_for_its_removal_is_refused_with_the_status_of_drmgr() {
    let phb = Phb::new(1);
    let start = Start::with_distribution(["-device".to_owned(), phb.option()]);
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        vm.guest.sh("rm /lib/modules/*/rpadlpar_io.ko")?;
        vm.start_agent()?;
        for request in [1, 2] {
            assert_eq!(reported(&vm.remove_pci(&phb)?), (request, "agent-failed".into(), 1));
        }
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_with_an_agent_is_released() {
    let phb = Phb::new(1);
    let start = Start::with_distribution(["-device".to_owned(), phb.option()]);
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        vm.start_agent()?;
        let removal = vm.remove_pci(&phb)?;
        assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_without_an_agent_is_refused_at_once() {
    let phb = Phb::new(1);
    let start = Start::with_distribution(["-device".to_owned(), phb.option()]);
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        for request in [1, 2] {
            assert_eq!(reported(&vm.remove_pci(&phb)?), (request, "no-agent".into(), 0));
        }
        Ok(())
    });
}
