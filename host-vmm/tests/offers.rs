// SPDX-License-Identifier: MIT OR Apache-2.0

//! Offers that a VMM can make.

use papr_unplug::{
    Config, Offer, Tracker,
    wire::{
        offer::{Classes, Features},
        rtas::Indicator,
    },
};

/// PUE-V-002: that it does not stand in `rtas-indicators` is up to the VMM.
#[test]
fn offer_outside_the_vendor_range_is_none() {
    let taken = (0..=u32::from(u16::MAX))
        .filter(|number| Offer::new(Indicator(*number), Classes::CPU, Features::empty()).is_some());
    assert!(taken.eq(9100..=9999));
}

/// PUE-V-081: a VMM can only restore what it understands, so it must not offer, nor let the guest arm, anything else.
#[test]
fn machine_with_any_offer_that_can_be_made_restores_what_it_saved() {
    let offers = (0..=u8::MAX).filter_map(|features| Offer::new(Indicator(9100), Classes::MEMORY, Features(features)));
    let configs = offers.map(|offer| Config::default().offer(Some(offer)));
    let restore = |config| Tracker::new(config).restore(&Tracker::new(config).save(), &mut ());
    let restored: Vec<_> = configs.map(restore).collect();
    assert_eq!(restored, [Ok(()); 4]);
}
