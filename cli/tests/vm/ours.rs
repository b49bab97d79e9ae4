// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module on QEMU with the patches: each refusal once, with its reason; and pending requests are listed.

use crate::program::Program;
use papr_unplug_tests::{
    device::{
        Device as _,
        dimm::{ONE_LMB, TWO_LMBS},
    },
    pairing::Pairing,
    removal::Outcome,
    story::story,
};

#[test]
fn busy_dimm_is_refused_with_its_reason_and_released_when_it_is_asked_for_again() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let refused = Program::run(vm.spare_monitor(), &["unplug", dimm.id()])?;
        assert_eq!((refused.status, refused.notes.as_str()), (Some(3), ""), "{refused:?}");
        let first_lmb = dimm.connector(0).0;
        let expected = format!(
            "dimm1: refused: memory-veto, errno 16 (Device or resource busy), DRC {first_lmb:#x}, guest address {:#x}, \
             reported\n",
            u64::from(first_lmb & 0x0fff_ffff) << 28
        );
        assert!(refused.text.starts_with(&expected), "{refused:?}");

        vm.allow_offlining()?;
        let released = Program::run(vm.spare_monitor(), &["unplug", dimm.id()])?;
        assert_eq!((released.status, released.text.as_str()), (Some(0), "dimm1: released\n"), "{released:?}");
        Ok(())
    });
}

#[test]
fn watch_shows_each_outcome_once() {
    story(Pairing::OURS, |vm| {
        let mut watch = Program::start(vm.spare_monitor(), &["watch"])?;
        assert_eq!(watch.note()?, "papr-unplug: following the VM\n");
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);

        let line = watch.line()?;
        assert!(line.contains(" dimm1 request 1 refused: memory-veto, "), "{line}");
        let line = watch.line()?;
        assert!(line.ends_with(" dimm1 request 2 released\n"), "{line}");
        watch.interrupt()?;
        let ended = watch.end()?;
        assert_eq!((ended.status, ended.text.as_str(), ended.notes.as_str()), (Some(130), "", ""));
        Ok(())
    });
}

#[test]
fn list_shows_the_state_of_the_request() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let pages = vm.hold_pages()?;
        let request = vm.request(&dimm)??;
        vm.await_held_removal()?;
        let list = Program::run(vm.spare_monitor(), &["list"])?;
        assert_eq!((list.status, list.notes.as_str()), (Some(0), ""), "{list:?}");
        assert!(list.text.starts_with("the guest has promised to answer every request for: cpu, memory"), "{list:?}");
        assert!(
            list.text.contains("1        dimm1   memory  the guest has begun, an answer is promised\n"),
            "{list:?}"
        );

        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.outcome, Outcome::Released);
        let list = Program::run(vm.spare_monitor(), &["list"])?;
        assert!(list.text.ends_with("\nno removal is pending\n"), "{list:?}");
        Ok(())
    });
}
