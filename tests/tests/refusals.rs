// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each kind of refusal gives its event, once for each signal, and a retry at once is taken.

use papr_unplug_tests::{
    pairing::Pairing,
    removal::{Outcome, Retry},
    scenario::Scenario,
    story::story,
};

#[test]
fn dimm_with_busy_first_lmb_is_refused_at_once_and_released_on_retry() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = Scenario::DimmFirstLmbBusy.arrange(vm)?;
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.outcome, Outcome::Refused);
        Scenario::DimmFirstLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}
