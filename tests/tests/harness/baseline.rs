// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stock guest on stock QEMU: the defects that this project is about, and proof that the harness sees them.

use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    pairing::Pairing,
    removal::{Outcome, Retry},
    story::{scenario::Scenario, story},
};

#[test]
fn cpu_last_online_is_refused_and_released_on_retry() {
    story(Pairing::STOCK, |vm| {
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let removal = vm.remove(&cpu)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
        Scenario::CpuLastOnline.relieve(vm)?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

#[test]
fn dimm_with_first_lmb_busy_is_silent_and_wedged() {
    story(Pairing::STOCK, |vm| {
        let dimm = Scenario::DimmFirstLmbBusy.arrange(vm)?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Silent, 0));
        assert_eq!(removal.unisolated(), []);
        Scenario::DimmFirstLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Rejected);
        Ok(())
    });
}

#[test]
fn dimm_of_one_busy_lmb_is_silent_and_wedged() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Silent);
        vm.allow_offlining()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Rejected);
        Ok(())
    });
}

#[test]
fn dimm_with_later_lmb_busy_is_signalled_once_and_told_twice() {
    story(Pairing::STOCK, |vm| {
        let dimm = Scenario::DimmLaterLmbBusy.arrange(vm)?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 2));
        assert_eq!(removal.unisolated().len(), 1);
        Scenario::DimmLaterLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

#[test]
fn dimm_that_can_go_is_released() {
    story(Pairing::STOCK, |vm| {
        let dimm = Scenario::DimmRemovable.arrange(vm)?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Released, 1));
        Ok(())
    });
}
