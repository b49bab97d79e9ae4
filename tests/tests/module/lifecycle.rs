// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and unloading of the module at any moment.

use papr_unplug_tests::{device::dimm::ONE_LMB, pairing::Pairing, removal::Outcome, story::story};

/// Number of loads and unloads.
const CYCLES: u32 = 200;

#[test]
fn module_loaded_and_unloaded_under_refused_removals_leaves_nothing_behind() {
    story(Pairing::STOCK, |vm| {
        let before = vm.probed_places()?;
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;

        let cycle = "insmod /lib/modules/papr_unplug.ko unsafe_kprobes=1 && rmmod papr_unplug";
        let cycles = format!("for n in $(seq {CYCLES}); do {cycle} || break; echo $n > /tmp/cycle; done");
        vm.guest.sh(&format!("{{ {cycles}; touch /tmp/over; }} 2>/tmp/complaints &"))?;
        let write = format!("echo memory remove index {} > /sys/kernel/dlpar", dimm.connector(0));
        vm.guest.sh(&format!("{{ until [ -e /tmp/over ]; do {write}; done; }} 2>/dev/null &"))?;
        while vm.guest.run("[ -e /tmp/over ]")?.status != 0 {
            // The kernel signals this refusal by itself, so the host sees it with or without the module.
            assert_eq!(vm.remove_untraced(&cpu)?.outcome, Outcome::Refused);
        }

        assert_eq!(vm.guest.sh("cat /tmp/cycle /tmp/complaints")?, format!("{CYCLES}\n"));
        assert_eq!(vm.probed_places()?, before);
        assert_eq!(vm.guest.sh("ls /sys/kernel/debug | grep -c papr_unplug || true")?, "0\n");
        Ok(())
    });
}

#[test]
fn module_loaded_into_a_preemptible_kernel_says_that_this_wants_a_fix_unless_there_are_fprobes() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let is_preemptible = vm.guest.sh("uname -v")?.contains(" PREEMPT");
        let has_fprobes = vm.guest.run("grep -q ' unregister_fprobe_async$' /proc/kallsyms")?.status == 0;
        let said = vm.kernel_log()?.iter().filter(|line| line.contains("papr_unplug: this kernel is preemptible"));
        assert_eq!(said.count(), usize::from(is_preemptible && !has_fprobes));
        let probed = vm.guest.sh("cat /sys/kernel/debug/kprobes/list")?;
        assert_eq!(probed.contains("dlpar_release_drc"), !(is_preemptible && has_fprobes), "{probed}");
        Ok(())
    });
}

#[test]
fn module_unloaded_while_a_removal_runs_lets_it_succeed() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let (_, pages, request) = vm.removal_under_way()?;
        vm.unload_module()?;
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.outcome, Outcome::Released);
        Ok(())
    });
}

#[test]
fn module_unloaded_while_a_removal_runs_lets_the_kernel_signal_its_refusal() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let (dimm, pages, request) = vm.removal_under_way()?;
        vm.unload_module()?;
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        let removal = vm.watch(request)?;
        assert_eq!(removal.outcome, Outcome::Refused);
        assert_eq!(removal.unisolated(), [dimm.connector(0)]);
        Ok(())
    });
}

#[test]
fn module_loaded_while_a_removal_runs_leaves_it_to_the_kernel() {
    story(Pairing::STOCK, |vm| {
        let (dimm, pages, request) = vm.removal_under_way()?;
        vm.load_module()?;
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        let removal = vm.watch(request)?;
        assert_eq!(removal.outcome, Outcome::Refused);
        assert_eq!(removal.unisolated(), [dimm.connector(0)]);
        assert_eq!(vm.counters()?.nonzero(), []);
        Ok(())
    });
}

#[test]
fn module_reloaded_while_a_removal_runs_signals_the_next_refusal() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let (_, pages, request) = vm.removal_under_way()?;
        vm.unload_module()?;
        vm.load_module()?;
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.outcome, Outcome::Released);

        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.unisolated(), [dimm.connector(0)]);
        assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_module", 1)]);
        Ok(())
    });
}

#[test]
fn module_reloaded_counts_from_zero() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
        vm.unload_module()?;
        vm.load_module()?;
        assert_eq!(vm.counters()?.nonzero(), []);
        assert_eq!(vm.refusals()?, []);

        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
        assert_eq!(vm.refusals()?.iter().map(|refusal| refusal.get("seq")).collect::<Vec<_>>(), [Some("1")]);
        Ok(())
    });
}
