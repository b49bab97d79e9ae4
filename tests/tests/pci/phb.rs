// SPDX-License-Identifier: MIT OR Apache-2.0

//! PHBs. Debian's `drmgr` needs the kernel module `rpadlpar_io` for them.

use crate::{is_released, on_phb, open, refusal, released};
use papr_unplug_tests::{
    device::pci::{Function, Phb},
    pairing::Pairing,
    story::story_on,
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::reason::Reason;
use serde_json::Value;

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_without_a_driver_for_its_removal_is_refused_with_the_status_of_drmgr() {
    let phb = Phb::new(1);
    on_phb(&phb, |vm| {
        vm.guest.sh("rm /lib/modules/*/rpadlpar_io.ko")?;
        vm.start_agent()?;
        for _ in 0..2 {
            let how = "drmgr exits with 1, as rpadlpar_io cannot be loaded";
            vm.trigger_pci(&phb, &refusal(phb.connector(), Reason::AGENT_FAILED, 1, how))?;
        }
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_with_an_agent_is_released() {
    let phb = Phb::new(1);
    on_phb(&phb, |vm| {
        vm.start_agent()?;
        is_released(&vm.remove_pci(&phb)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_without_an_agent_is_refused_at_once() {
    let phb = Phb::new(1);
    on_phb(&phb, |vm| {
        for _ in 0..2 {
            let how = "no program reads the kernel's log of RTAS events";
            vm.trigger_pci(&phb, &refusal(phb.connector(), Reason::NO_AGENT, 0, how))?;
        }
        Ok(())
    });
}

/// Returns options with a PHB, two slots behind it, of which the second has two functions, and a card elsewhere.
fn with_functions(phb: &Phb, behind: &[Function; 3], other: &Function) -> Start {
    let devices = [phb.option()].into_iter().chain(behind.iter().chain([other]).map(Function::option));
    Start::with_distribution(devices.flat_map(|device| ["-device".to_owned(), device]))
}

fn functions_behind(phb: &Phb) -> [Function; 3] {
    [(1, 0), (2, 0), (2, 1)].map(|(slot, function)| Function::behind(phb, slot, function))
}

/// The request for function 1 is withheld, as nobody asks for function 0.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_that_an_agent_gives_back_ends_the_withheld_request_for_a_function_behind_it() {
    let (phb, other) = (Phb::new(1), Function::new(1));
    let functions = functions_behind(&phb);
    let start = with_functions(&phb, &functions, &other);
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        vm.start_agent()?;
        let withheld = vm.request_untraced(&functions[2])?;
        assert_eq!(vm.pending()?[0]["withheld"], true);
        let whole = vm.request_untraced(&phb)?;
        is_released(&vm.watch_untraced(&whole)?);
        is_released(&vm.watch_untraced(&withheld)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        for function in &functions {
            assert!(!vm.has_device(function)?, "{function:?}");
        }
        released(vm, &other)
    });
}

/// The requests are in the log while the administrator removes the PHB. Each ends once, and the agent that reads their
/// events afterwards adds nothing.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_that_the_administrator_removes_ends_each_request_for_it_and_for_functions_behind_it() {
    let (phb, other) = (Phb::new(1), Function::new(1));
    let functions = functions_behind(&phb);
    let start = with_functions(&phb, &functions, &other);
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let mut requests = vec![];
        for function in [&functions[0], &functions[2]] {
            requests.push(vm.request_untraced(function)?);
        }
        requests.push(vm.request_untraced(&phb)?);
        assert_eq!(open(vm)?, ["phb1-nic1.0", "phb1-nic2.1", "phb1"]);
        vm.guest.sh(&format!("/usr/sbin/drmgr -c phb -r -s {:#x} > /tmp/own 2>&1", phb.connector().0))?;
        for request in &requests {
            is_released(&vm.watch_untraced(request)?);
        }
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        vm.signal("CONT", "rtas_errd")?;
        // The agent handles events in their order: it has passed the old ones.
        released(vm, &other)?;
        for request in &requests {
            assert_eq!(vm.events_about(request)?.len(), 1);
        }
        Ok(())
    });
}
