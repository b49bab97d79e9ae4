// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons of refusals of a DIMM or one of its LMBs.

use anyhow::Context as _;
use papr_unplug_tests::{
    device::dimm::{Dimm, ONE_LMB, TWO_LMBS},
    pairing::Pairing,
    removal::Retry,
    report::occurrence::{
        Expectation,
        Means::{self, Driver, Fault, Injection, Natural},
    },
    story::{story, story_on},
    trigger::fault::{NOT_ISOLATED, Override, overriding},
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::reason::Reason;

/// PUE-G-032, PUE-G-036: the page structures of the second LMB are in the first one, because the node has no other
/// memory; they are unmovable.
#[test]
fn unmovable_page_is_named_by_its_address() {
    story(Pairing::OURS, |vm| {
        vm.set_online_type("online_kernel")?;
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        let how = "onlined as online_kernel, in a node of its own";
        let refusal = vm.trigger(&dimm, &case(Natural, how, Reason::UNMOVABLE_PAGE, 16, &dimm, 0))?;
        let address = refusal.get("address").context("the module's list names no address")?;
        let address = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
        assert_eq!(address / ONE_LMB, dimm.first_block());
        Ok(())
    });
}

/// PUE-G-036
#[test]
fn notifier_that_says_no_gives_its_error() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        for errno in [16, 1, 12, 22] {
            vm.guest.inject_memory_error("MEM_GOING_OFFLINE", -errno)?;
            let how = "memory-notifier-error-inject, MEM_GOING_OFFLINE";
            vm.trigger(&dimm, &case(Injection, how, Reason::MEMORY_VETO, errno.into(), &dimm, 0))?;
        }
        vm.allow_offlining()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036: with kernelcore= a zone ends within an LMB, which then belongs to no single zone.
#[test]
fn memory_that_spans_zones() {
    let dimm = ["-object", "memory-backend-ram,id=dimm0-ram,size=512M", "-device", "pc-dimm,id=dimm0,memdev=dimm0-ram"];
    let start = Start { kernel_arguments: "kernelcore=2176M".into(), ..Start::with_options(dimm) };
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        let dimm = vm.dimm_at_boot("dimm0")?;
        let how = "there at boot, and kernelcore= ends within it";
        vm.trigger(&dimm, &case(Natural, how, Reason::MEMORY_LAYOUT, 22, &dimm, 0))?;
        Ok(())
    });
}

/// PUE-G-036. The kernel's worker gets no signals by itself. Only a write to /sys/kernel/dlpar can be interrupted,
/// which is no request of the hypervisor.
#[test]
fn signal_that_interrupts() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.begin_fault("interrupt=1")?;
        vm.trigger(&dimm, &case(Driver, "a signal is pending", Reason::INTERRUPTED, 4, &dimm, 0))?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-032, PUE-G-036, PUE-V-036: an LMB that cannot be put back is lost to the guest. At the next request the guest
/// skips it and reports success; the VMM knows that the LMB was not given back. The module gives it back at the end of
/// an attempt, where it sees that end.
#[test]
fn lmb_that_cannot_be_put_back_is_lost_until_the_module_gives_it_back() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        vm.guest.inject_memory_error("MEM_GOING_ONLINE", -16)?;
        let how = "memory-notifier-error-inject, MEM_GOING_OFFLINE for one LMB and MEM_GOING_ONLINE for the other";
        vm.trigger(&dimm, &case(Injection, how, Reason::ROLLBACK_FAILED, 16, &dimm, 0))?;

        vm.allow_offlining()?;
        vm.guest.inject_memory_error("MEM_GOING_ONLINE", 0)?;
        vm.begin_fault(&overriding(&[Override::always("drmem_update_dt", 0)]))?;
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.attempt.map(|attempt| attempt.errno), Some(0));
        let how = "asked again after rollback-failed, and drmem_update_dt() is not called";
        vm.record_removal(&removal, &case(Fault, how, Reason::INCOMPLETE, 0, &dimm, 0))?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036: the kernel ignores the error, and loses the LMB. The module gives it back at the next request.
#[test]
fn lmb_that_firmware_does_not_take_back() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.begin_fault(&overriding(&[NOT_ISOLATED]))?;
        let how = "rtas_set_indicator(9001) fails";
        vm.trigger(&dimm, &case(Fault, how, Reason::FIRMWARE_REFUSED, 5, &dimm, 0))?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036
#[test]
fn lmb_that_stays_for_what_a_function_of_the_kernel_returns() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let cases = [
            (Override::always("offline_pages", -12), "offline_pages() fails", Reason::NO_MEMORY, 12),
            (Override::always("offline_pages", -5), "offline_pages() fails", Reason::UNATTRIBUTED, 5),
            (Override::always("memory_block_get", 0), "memory_block_get() finds none", Reason::NO_SUCH_RESOURCE, 22),
            (
                Override::always("dlpar_memory_remove_by_ic", -95),
                "dlpar_memory_remove_by_ic() fails as without CONFIG_MEMORY_HOTREMOVE",
                Reason::UNSUPPORTED,
                95,
            ),
        ];
        for (cut, how, reason, errno) in cases {
            vm.begin_fault(&overriding(&[cut]))?;
            vm.trigger(&dimm, &case(Fault, how, reason, errno, &dimm, 0))?;
            vm.end_fault()?;
        }
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

fn case<'a>(means: Means, how: &'a str, reason: Reason, errno: i64, dimm: &Dimm, lmb: u32) -> Expectation<'a> {
    Expectation { means, how, reason, errno, drc: dimm.connector(lmb) }
}
