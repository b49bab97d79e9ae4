// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tokens at their bound: as many requests are open as tokens exist.

#[path = "oracle/mod.rs"]
pub mod oracle;

use oracle::{
    host::offer,
    machine::{DEVICES, OFFERS, config, span},
    stream::stream,
};
use papr_unplug::{
    Config, RequestError, Tracker,
    event::Requested,
    wire::{
        offer::{Classes, Features},
        token::Token,
    },
};
use papr_unplug_model::reference::{Reference, Request};

/// Returns a machine with a DIMM, and an open request for each token but one.
fn crowded(free: u16) -> Tracker {
    let dimm = DEVICES[3];
    let mut reference = Reference::booted(config(Some(OFFERS[0])), [dimm]);
    reference.plugged[0].wanted = true;
    (reference.armed, reference.features) = (Classes::MEMORY, Features::TOKEN);
    (reference.last, reference.tokens) = (0xFFFF, 0xFFFF);
    let request = |id| Request { token: Token(id as u16), promised: true, ..Request::new(id, dimm) };
    reference.requests = (1..=0xFFFF).filter(|id| *id != u64::from(free)).map(request).collect();

    let config = Config::default().offer(Some(offer(OFFERS[0]))).max_open(usize::MAX).max_open_per_device(usize::MAX);
    let mut machine = Tracker::new(config);
    machine.add_connectors(dimm.resource, span(dimm)).unwrap();
    machine.plug(span(dimm)).unwrap();
    machine.restore(&stream(&reference), &mut ()).unwrap();
    machine
}

/// PUE-V-023, PUE-V-024: the search for the token does not compare every request with every token, which would take
/// seconds.
#[test]
#[cfg_attr(miri, ignore = "65,534 requests take too long")]
fn only_token_that_is_free_is_given_and_then_the_bound_is_reached() {
    let dimm = DEVICES[3].first;
    for free in [1, 0x7777, 0xFFFF] {
        let mut machine = crowded(free);
        assert!(matches!(machine.request(dimm, &mut ()), Ok(Requested::Ask(_))));
        assert_eq!(machine.requests().last().map(|request| request.token), Some(Token(free)));
        assert_eq!(machine.request(dimm, &mut ()), Err(RequestError::TooMany(0xFFFF)));
    }
}
