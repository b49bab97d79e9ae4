// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tokens at their bound: as many requests are open as tokens exist.

#[path = "oracle/mod.rs"]
pub mod oracle;

use oracle::{
    machine::{DEVICES, OFFERS},
    reference::{Device, Reference, Request},
    stream::stream,
    subject::span,
};
use papr_unplug::{
    Config, Offer, RequestError, Tracker,
    event::Requested,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::Indicator,
        token::Token,
    },
};

/// Returns a machine with a DIMM, and an open request for each token but one.
fn crowded(free: u16) -> Tracker {
    let dimm = DEVICES[3];
    let mut reference = Reference::new(Some(OFFERS[0]));
    reference.plugged = vec![Device { plan: dimm, wanted: true, echo: false }];
    reference.connectors.iter_mut().for_each(|connector| connector.state = 4);
    (reference.armed, reference.features, reference.asked) = (1 << dimm.0, 1, 0xFFFF);
    let (token, promised, started, withheld, imported) = (true, true, false, false, false);
    let request = |id| Request { id, device: dimm, token, promised, started, withheld, imported, hint: None };
    reference.requests = (1..=0xFFFF).filter(|id| *id != u64::from(free)).map(request).collect();

    let (indicator, classes, features) = OFFERS[0];
    let offer = Offer::new(Indicator(indicator), Classes(classes), Features(features));
    let config = Config::default().offer(offer).max_open(usize::MAX).max_open_per_device(usize::MAX);
    let mut machine = Tracker::new(config);
    machine.add_connectors(Resource(dimm.0), span(dimm)).unwrap();
    machine.plug(span(dimm)).unwrap();
    machine.restore(&stream(&reference, |id| id as u16), &mut ()).unwrap();
    machine
}

/// PUE-V-023, PUE-V-024: the search for the token does not compare every request with every token, which would take seconds.
#[test]
#[cfg_attr(miri, ignore = "65,534 requests take too long")]
fn only_token_that_is_free_is_given_and_then_the_bound_is_reached() {
    let dimm = DrcIndex(DEVICES[3].1);
    for free in [1, 0x7777, 0xFFFF] {
        let mut machine = crowded(free);
        assert!(matches!(machine.request(dimm, &mut ()), Ok(Requested::Ask(_))));
        assert_eq!(machine.requests().last().map(|request| request.token), Some(Token(free)));
        assert_eq!(machine.request(dimm, &mut ()), Err(RequestError::TooMany(0xFFFF)));
    }
}
