// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each request gets the promised answer, with its reason, under its own token, and no second one.

use crate::{ANSWERING, BY_TOKEN, CLASSES};
use anyhow::Result;
use papr_unplug_tests::{
    device::{
        dimm::{ONE_LMB, TWO_LMBS},
        pci::Function,
    },
    removal::{Outcome, Removal, Retry},
    story::{scenario::Scenario, story, story_on},
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::{
    report::{Opcode, Word},
    rtas::Indicator,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Members of the event of a refusal.
const MEMBERS: [&str; 4] = ["request", "source", "reason", "errno"];

/// PUE-G-010, PUE-G-020, PUE-G-022, PUE-G-030, PUE-G-036, PUE-G-039
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn last_cpu_is_reported_with_its_reason_by_the_token_of_its_request() {
    story(ANSWERING, |vm| {
        assert_eq!(vm.armed()?, json!(CLASSES));
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        for request in [1, 2] {
            let removal = vm.remove(&cpu)?;
            let expected = [json!(request), json!(BY_TOKEN), json!("last-cpu"), json!(16)];
            assert_eq!(removal.refusal(MEMBERS)?, expected);
            assert_eq!(said(&removal), [Opcode::STARTED, Opcode::REFUSED]);
            assert_eq!(removal.unisolated(), []);
        }
        Scenario::CpuLastOnline.relieve(vm)?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-030, PUE-G-035, PUE-V-032
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn dimm_with_first_lmb_busy_is_reported_each_time_and_released_on_retry() {
    story(ANSWERING, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        for request in [1, 2] {
            let removal = vm.remove(&dimm)?;
            let expected = [json!(request), json!(BY_TOKEN), json!("memory-veto"), json!(16)];
            assert_eq!(removal.refusal(MEMBERS)?, expected);
            assert_eq!(removal.refusal(["drc"])?, [json!(dimm.connector(0).0)]);
            assert_eq!(said(&removal), [Opcode::STARTED, Opcode::REFUSED]);
            assert_eq!(removal.unisolated(), []);
        }
        vm.allow_offlining()?;
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.outcome, Outcome::Released);
        assert_eq!(said(&removal), [Opcode::STARTED, Opcode::DONE]);
        assert_eq!(vm.pending()?, json!([]));
        Ok(())
    });
}

/// PUE-G-032, PUE-V-041: the first LMB is configured again, which is no outcome of its own.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn dimm_with_later_lmb_busy_is_reported_once_at_that_lmb() {
    story(ANSWERING, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        let removal = vm.remove(&dimm)?;
        let expected = [json!(BY_TOKEN), json!("memory-veto"), json!(dimm.connector(1).0)];
        assert_eq!(removal.refusal(["source", "reason", "drc"])?, expected);
        assert_eq!(said(&removal), [Opcode::STARTED, Opcode::REFUSED]);
        Ok(())
    });
}

/// PUE-G-036: the page structures of the second LMB are in the first one, because the node has no other memory.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn dimm_with_unmovable_pages_is_reported_as_such() {
    story(ANSWERING, |vm| {
        vm.set_online_type("online_kernel")?;
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        let expected = [json!(BY_TOKEN), json!("unmovable-page"), json!(dimm.connector(0).0)];
        assert_eq!(vm.remove(&dimm)?.refusal(["source", "reason", "drc"])?, expected);
        Ok(())
    });
}

/// PUE-G-030
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn two_dimms_asked_for_together_each_get_their_own_outcome() {
    story(ANSWERING, |vm| {
        let free = vm.plug_dimm(ONE_LMB)?;
        vm.set_online_type("online_kernel")?;
        let busy = vm.plug_dimm_into(1, TWO_LMBS)?;
        let (first, second) = (vm.request(&busy)??, vm.request(&free)??);
        assert_eq!(vm.watch(first)?.refusal(["request", "source"])?, [json!(1), json!(BY_TOKEN)]);
        assert_eq!(vm.watch(second)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-012, PUE-G-020, PUE-G-030
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn requests_that_come_in_bursts_are_each_answered_by_name() {
    story(ANSWERING, |vm| bursts(vm, 100, true));
}

/// PUE-G-012, PUE-G-020, PUE-G-030: nothing of it stands on probes.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn requests_that_come_in_bursts_are_each_answered_by_name_while_kprobes_are_off() {
    story(ANSWERING, |vm| bursts(vm, 100, false));
}

/// PUE-G-012, PUE-G-020, PUE-G-030: with threaded interrupts, the kernel takes a request in a thread.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn requests_are_each_answered_by_name_where_interrupts_have_threads() {
    let start = Start::with_kernel_arguments("threadirqs");
    story_on(ANSWERING, Machine::Pseries, &start, |vm| bursts(vm, 30, true));
}

/// Requests the last CPU and two DIMMs at once, `bursts` times, and checks that each refusal is reported by its token
/// and with its own reason.
fn bursts(vm: &mut Vm, bursts: u32, with_probes: bool) -> Result<()> {
    let cpu = Scenario::CpuLastOnline.arrange(vm)?;
    let dimms = [vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?];
    vm.veto_offlining()?;
    if !with_probes {
        vm.switch_probes_off()?;
        assert_eq!(vm.guest.sh("cat /sys/kernel/debug/kprobes/enabled")?, "0\n");
    }
    let mut answers = BTreeMap::<_, u32>::new();
    for _ in 0..bursts {
        let requests = [vm.request_untraced(&cpu)?, vm.request_untraced(&dimms[0])?, vm.request_untraced(&dimms[1])?];
        for request in &requests {
            vm.await_outcome(request)?;
            for event in vm.events_about(request)? {
                let [source, reason] =
                    ["source", "reason"].map(|name| event.body.data(name).cloned().unwrap_or_default());
                *answers.entry(format!("{source}: {reason}")).or_default() += 1;
            }
        }
    }
    let by_token = |reason: &str, times| (format!("\"{BY_TOKEN}\": \"{reason}\""), bursts * times);
    assert_eq!(answers, BTreeMap::from([by_token("last-cpu", 1), by_token("memory-veto", 2)]));
    assert_eq!((vm.pending()?, vm.armed()?), (json!([]), json!(CLASSES)));
    Ok(())
}

/// PUE-G-012, PUE-G-020, PUE-G-030
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn each_of_a_thousand_requests_for_the_last_cpu_is_reported_by_its_token() {
    story(ANSWERING, |vm| {
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let refusals = vm.request_repeatedly(&cpu, 1000)?;
        assert_eq!(refusals, [(json!(BY_TOKEN), json!("last-cpu"), 1000)]);
        assert_eq!(vm.armed()?, json!(CLASSES));
        Ok(())
    });
}

/// PUE-G-038, PUE-G-051
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn removals_that_the_administrator_begins_are_neither_reported_nor_signalled() {
    story(ANSWERING, |vm| {
        let (dimm, cpu) = (vm.plug_dimm(TWO_LMBS)?, vm.plug_cpu(1)?);
        vm.put_boot_cpu_offline()?;
        vm.veto_offlining()?;
        for request in [
            format!("cpu remove index {}", cpu.connector()),
            format!("memory remove index {}", dimm.connector(0)),
            format!("memory remove indexed-count 2 {}", dimm.connector(0)),
            "memory remove count 2".to_owned(),
        ] {
            let write = vm.write_dlpar(&request)?;
            assert!(write.attempt.errno < 0, "{request} succeeded");
            assert_eq!(write.calls, [], "{request}");
        }
        Ok(())
    });
}

/// PUE-V-067: powerpc-utils issue 60.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn dimm_with_an_lmb_that_was_removed_inside_the_guest_is_released() {
    story(ANSWERING, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        assert_eq!(vm.write_dlpar(&format!("memory remove index {}", dimm.connector(0)))?.attempt.errno, 0);
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.outcome, Outcome::Released);
        assert_eq!(said(&removal), [Opcode::STARTED, Opcode::DONE]);
        Ok(())
    });
}

/// PUE-V-010
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn reports_are_taken_from_each_processor() {
    story(ANSWERING, |vm| {
        let cpu = vm.plug_cpu(1)?;
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        for only in [0, 1] {
            let other = 1 - only;
            vm.guest.sh(&format!("echo 0 > /sys/devices/system/cpu/cpu{other}/online"))?;
            let removal = vm.remove(&dimm)?;
            assert_eq!(removal.refusal(["source"])?, [json!(BY_TOKEN)]);
            assert_eq!(removal.calls.iter().map(|call| call.cpu).collect::<Vec<_>>(), [only; 2]);
            vm.guest.sh(&format!("echo 1 > /sys/devices/system/cpu/cpu{other}/online"))?;
        }
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-011: the kernel leaves PCI devices to user space, and does not see what becomes of them there.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn request_for_a_pci_device_is_not_promised() {
    let card = Function::new(1);
    let start = Start::with_options(["-device".to_owned(), card.option()]);
    story_on(ANSWERING, Machine::Pseries, &start, |vm| {
        assert_eq!(vm.remove_kept(&card)?.outcome, Outcome::Silent);
        assert_eq!(vm.pending()?[0]["promised"], json!(false));
        Ok(())
    });
}

/// PUE-G-011, PUE-G-017: without an event source, no request reaches the kernel.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel answers"]
fn nothing_is_promised_where_hot_plug_events_have_no_source() {
    let machine = Machine::PseriesWithoutHotplugEvents;
    story_on(ANSWERING, machine, &Start::default(), |vm| {
        assert_eq!(vm.armed()?, json!([]));
        Ok(())
    });
}

/// Returns the opcodes of the reports that the guest sent during a removal.
pub(crate) fn said(removal: &Removal) -> Vec<Opcode> {
    let is_report = |indicator: Indicator| (9100..=9999).contains(&indicator.0);
    removal.calls.iter().filter(|call| is_report(call.indicator)).map(|call| Word(call.state).opcode()).collect()
}
