// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests that release, refuse, and stay silent, on stock QEMU.

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
fn busy_dimm_is_refused_and_released_when_it_is_asked_for_again() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let refused = Program::run(vm.spare_monitor(), &["unplug", dimm.id()])?;
        assert_eq!(refused.status, Some(3), "{refused:?}");
        assert!(refused.text.starts_with("dimm1: refused; this VM gives no reason\n"), "{refused:?}");

        vm.allow_offlining()?;
        let released = Program::run(vm.spare_monitor(), &["unplug", dimm.id()])?;
        assert_eq!((released.status, released.text.as_str()), (Some(0), "dimm1: released\n"), "{released:?}");
        Ok(())
    });
}

/// A stock guest does not report such a refusal, and stock QEMU accepts no second request.
#[test]
fn silent_guest_is_waited_for_until_a_signal() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        vm.trace.so_far(&mut vm.guest)?;
        let mut asking = Program::start(vm.spare_monitor(), &["unplug", dimm.id()])?;
        assert!(asking.note()?.contains("a guest may refuse silently"));
        let (_, attempt) = vm.trace.attempt(&mut vm.guest)?;
        assert_ne!(attempt.errno, 0);

        asking.interrupt()?;
        let pending = asking.end()?;
        assert_eq!(pending.status, Some(130), "{pending:?}");
        assert!(pending.text.starts_with("dimm1: still pending\n"), "{pending:?}");

        let again = Program::run(vm.spare_monitor(), &["unplug", dimm.id()])?;
        assert_eq!(again.status, Some(6), "{again:?}");
        assert!(again.text.contains("a reset of the guest ends it"), "{again:?}");
        Ok(())
    });
}

/// Stock QEMU sends two events for one refused DIMM, and nothing in them says that they are one refusal.
#[test]
fn watch_shows_each_event_of_stock_qemu_for_requests_of_others() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let mut watch = Program::start(vm.spare_monitor(), &["watch"])?;
        assert!(watch.note()?.contains("it may report one refusal twice"));
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);

        for _ in 0..2 {
            let line = watch.line()?;
            assert!(line.ends_with(" dimm1 refused; this VM gives no reason\n"), "{line}");
        }
        let line = watch.line()?;
        assert!(line.ends_with(" dimm1 released\n"), "{line}");
        watch.interrupt()?;
        assert_eq!(watch.end()?.status, Some(130));
        Ok(())
    });
}
