// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output of the module: its file, its debugfs directory, and its log lines.

use papr_unplug_tests::{
    artifacts::Artifacts,
    device::dimm::{ONE_LMB, TWO_LMBS},
    guest::module::Probe,
    observe::{frames, modinfo::Modinfo},
    pairing::Pairing,
    removal::Outcome,
    story::story,
    vmm::promise::CLASSES,
};

/// Number of refusals that the module keeps.
const REMEMBERED: usize = 64;
/// Command that prints the removal that runs.
const REMOVAL: &str = "cat /sys/kernel/debug/papr_unplug/removal";

#[test]
fn module_file_says_what_it_is() {
    let modinfo = Modinfo::read(&Artifacts::find().unwrap().module).unwrap();
    assert_eq!(modinfo.get("name"), Some("papr_unplug"));
    assert_eq!(modinfo.get("license"), Some("GPL"));
    assert_eq!(modinfo.get("author"), Some("The papr-unplug authors"));
    assert_eq!(modinfo.get("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(modinfo.get("description"), Some("Tells the hypervisor of a pseries guest the outcome of each removal"));
}

/// The limit is half of what the kernel allows its own C code on 64-bit machines (`CONFIG_FRAME_WARN`); a stack has 8
/// or 16 KiB.
#[test]
fn module_functions_take_little_of_the_stack() {
    let largest = frames::largest(&Artifacts::find().unwrap().module).unwrap();
    assert!((1..=1024).contains(&largest), "a function of the module takes {largest} bytes of the kernel's stack");
}

#[test]
fn counters_and_probes_are_there_from_the_start_and_gone_at_the_end() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let probes = [
            "dlpar_memory",
            "dlpar_cpu",
            "dlpar_hp_pmem",
            "dlpar_remove_lmb",
            "dlpar_release_drc",
            "dlpar_unisolate_drc",
            "drmem_update_dt",
            "queue_hotplug_event",
            "pSeries_log_error",
            "rtas_log_read",
            "rtas_log_release",
            "dlpar_store",
            "ofdt_write",
        ];
        let active = |symbol: &str| Probe { symbol: symbol.into(), state: "active missed=0".into() };
        assert_eq!(vm.probes()?[..probes.len()], probes.map(active));
        assert_eq!(vm.guest.sh("cat /sys/kernel/debug/papr_unplug/promise")?, "offered none\n");
        assert_eq!(
            vm.guest.sh("cat /sys/kernel/debug/papr_unplug/counters")?,
            "requests 0\nreleased 0\nrefused 0\nreported 0\ntold_by_module 0\ntold_by_kernel 0\ntold_before 0\n\
             not_told 0\nguest_initiated 0\noverlapped 0\nmissed 0\nmissed_events 0\ndropped 0\nunseen 0\nrecovered 0\nvoided 0\n\
             withdrawn 0\nlog_overruns 0\n"
        );
        vm.unload_module()?;
        assert_eq!(vm.guest.run("ls /sys/kernel/debug/papr_unplug")?.status, 1);
        Ok(())
    });
}

#[test]
fn refusals_are_listed_in_order_with_what_refused_and_why() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let early = vm.plug_dimm(TWO_LMBS)?;
        let late = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&late)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&late)?.outcome, Outcome::Refused);
        assert_eq!(vm.remove(&early)?.outcome, Outcome::Refused);
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Refused);

        assert_eq!(
            vm.guest.sh("cat /sys/kernel/debug/papr_unplug/refusals")?,
            format!(
                "seq=1 resource=memory connector={} lmb={} reason=memory-veto errno=-16 told=kernel\n\
                 seq=2 resource=memory connector={} lmb={} reason=memory-veto errno=-16 told=module\n\
                 seq=3 resource=cpu connector={} reason=last-cpu errno=-16 told=kernel\n",
                late.connector(0),
                late.connector(1),
                early.connector(0),
                early.connector(0),
                cpu.connector()
            )
        );
        Ok(())
    });
}

#[test]
fn refusal_is_one_line_of_the_kernel_log() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        vm.remove(&dimm)?;
        vm.unload_module()?;
        let log = vm.kernel_log()?;
        let lines: Vec<_> = log.iter().filter_map(|line| line.split_once("] papr_unplug: refused: ")).collect();
        let lmb = dimm.connector(0);
        let expected = format!("memory {lmb}, LMB {lmb}, memory-veto, error -16; the hypervisor was told");
        assert_eq!(lines.iter().map(|(_, refusal)| *refusal).collect::<Vec<_>>(), [expected]);
        Ok(())
    });
}

#[test]
fn refusals_without_end_fill_neither_the_log_nor_the_memory_and_are_all_counted() {
    const REFUSALS: u64 = 150;
    story(Pairing::OURS_ON_STOCK, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        for _ in 0..REFUSALS {
            assert_eq!(vm.remove_untraced(&cpu)?.outcome, Outcome::Refused);
        }
        let counters = vm.counters()?;
        assert_eq!((counters.get("refused"), counters.get("told_by_kernel")), (REFUSALS, REFUSALS));

        let listed: Vec<u64> = vm.refusals()?.iter().filter_map(|refusal| refusal.get("seq")?.parse().ok()).collect();
        let oldest = REFUSALS + 1 - REMEMBERED as u64;
        assert_eq!(listed, (oldest..=REFUSALS).collect::<Vec<_>>());

        vm.unload_module()?;
        let logged = vm.kernel_log()?.iter().filter(|line| line.contains("papr_unplug: refused: ")).count() as u64;
        assert!((1..REFUSALS).contains(&logged), "{logged} lines in the kernel log");
        Ok(())
    });
}

#[test]
fn removal_that_hangs_is_shown_with_its_request_its_lmb_and_its_step() {
    story(Pairing::OURS, |vm| {
        let (dimm, pages, request) = vm.removal_under_way()?;
        let shown = vm.guest.sh(REMOVAL)?;
        let lmb = dimm.connector(0);
        assert!(shown.starts_with(&format!("resource=memory connector={lmb} token=0x")), "{shown}");
        assert!(shown.contains(&format!(" lmb={lmb} step=offline_pages seconds=")), "{shown}");
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.outcome, Outcome::Released);
        assert_eq!(vm.guest.sh(REMOVAL)?, "none\n");
        Ok(())
    });
}

/// The hypervisor knows the outcome of a removal that the module has not seen.
#[test]
fn release_that_no_probe_sees_counts_as_a_release() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        assert!(vm.switch_probes_off()?, "the kernel of the tests lets its probes go off");
        assert_eq!(vm.remove_untraced(&dimm)?.outcome, Outcome::Released);
        vm.guest.sh("until grep -q '^unseen 1$' /sys/kernel/debug/papr_unplug/counters; do :; done")?;
        let counters = vm.counters()?;
        assert_eq!(["requests", "released", "refused"].map(|name| counters.get(name)), [1, 1, 0]);
        vm.switch_probes_on()?;
        vm.await_armed(&CLASSES)
    });
}
