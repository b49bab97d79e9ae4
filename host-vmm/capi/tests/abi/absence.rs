// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls without a machine, device, connector or offer.

use crate::machine::{Machine, REPORTS};
use papr_unplug_capi::{PaprUnplugConfig, PaprUnplugError as Error, papr_unplug_explain, papr_unplug_new};
use std::ptr;

#[test]
fn call_without_a_machine_gives_what_the_header_says() {
    let null = Machine::null();
    let codes = [
        null.add(2, 8, 1),
        null.remove(8, 1),
        null.attach(8, 1, true),
        null.detach(8),
        null.request(8).0,
        null.withhold(8).0,
        null.request_together(&[8]).0,
        null.withdraw(1),
        null.set_offer([0; 3]),
        null.import(8, 4, true),
        null.restore(&[]),
        null.load_end(),
    ];
    assert_eq!(codes, [Error::Argument as i32; 12]);
    let statuses = [null.set_indicator(9001, 8, 0), null.configure(8, true), null.configured(8)];
    assert_eq!(statuses, [-1; 3]);
    assert_eq!(null.get_sensor_state(9003, 8), (-1, 0));
    assert_eq!((null.state(8), null.pending(8), null.has_more()), (0, false, false));
    assert_eq!((null.armed(), null.max_save(), null.save_into(0).0), ((0, 0), 0, 0));
    assert_eq!((null.has_effect(), null.outcomes()), (false, vec![]));
    assert_eq!((null.next_effect(), null.open_requests(), null.request(8).1), (None, vec![], None));
    assert_eq!(null.error(), "no machine was given");
    null.reset();
    null.cas();
    null.load_begin();
}

#[test]
fn effect_that_is_null_explains_nothing() {
    let mut text = [0x7F; 4];
    // SAFETY: there is room for 4.
    let length = unsafe { papr_unplug_explain(ptr::null(), 56, text.as_mut_ptr(), 4) };
    assert_eq!((length, text), (0, [0, 0x7F, 0x7F, 0x7F]));
}

#[test]
fn offer_that_means_nothing_makes_no_machine() {
    let good = [REPORTS, 0x46, 3];
    let bad =
        [[0, 2, 0], [9099, 2, 0], [10_000, 2, 0], [9100, 0x80, 0], [9100, 0x1_0002, 0], [9100, 2, 4], [9100, 2, 0x100]];
    let make = |[indicator, classes, features]: [u32; 3]| {
        let config = PaprUnplugConfig { indicator, classes, features, ..PaprUnplugConfig::default() };
        // SAFETY: the configuration is one.
        unsafe { papr_unplug_new(&config, size_of_val(&config)) }
    };
    assert!(bad.into_iter().all(|offer| make(offer).is_null()));
    let machine = Machine::new(0);
    assert!(bad.into_iter().all(|offer| machine.set_offer(offer) == Error::Argument as i32));
    assert!(machine.error().contains("9100 to 9999"));
    assert_eq!(machine.set_offer(good), 0);
}

#[test]
fn topology_that_cannot_be_is_an_error_in_numbers_and_words() {
    let machine = Machine::with_dimm(0x8000_0008, 2);
    let failed = |code: i32| (code, machine.error());
    assert_eq!(machine.error(), "");

    let (code, text) = failed(machine.add(2, 0x8000_0009, 1));
    assert_eq!((code, text.as_str()), (Error::ConnectorExists as i32, "connector 0x80000009 exists already"));
    assert_eq!(failed(machine.add(7, 1, 1)).0, Error::UnknownResource as i32);
    assert_eq!(failed(machine.add(0x102, 1, 1)).0, Error::Argument as i32);
    assert_eq!(failed(machine.add(2, 1, 0)).0, Error::Argument as i32);
    assert_eq!(failed(machine.add(2, u32::MAX, 2)).0, Error::Argument as i32);
    assert_eq!(failed(machine.add(2, 0, u32::MAX)).0, Error::TooMany as i32);
    assert_eq!(failed(machine.attach(0x8000_0008, 1, true)).0, Error::Occupied as i32);
    assert_eq!(failed(machine.attach(7, 1, true)).0, Error::NoSuchConnector as i32);
    assert_eq!(failed(machine.remove(0x8000_0008, 3)).0, Error::NoSuchConnector as i32);
    assert_eq!(failed(machine.detach(0x8000_0009)).0, Error::NoSuchDevice as i32);

    assert_eq!(machine.add(1, 0x8000_000A, 1), 0);
    assert_eq!(machine.add(2, 0x8000_000B, 1), 0);
    assert_eq!(failed(machine.attach(0x8000_000A, 2, true)).0, Error::MixedResources as i32);
    assert_eq!([8, 9].map(|low| machine.state(0x8000_0000 + low)), [4, 4]);
}

#[test]
fn request_that_cannot_be_made_is_an_error_and_makes_none() {
    let machine = Machine::new(1);
    assert_eq!(machine.add(1, 0x1000_0000, 2), 0);
    assert_eq!(machine.attach(0x1000_0000, 1, true), 0);

    assert_eq!(machine.request(0x1000_0001), (Error::NoSuchDevice as i32, None));
    assert_eq!(machine.request(0x1000_0000).0, 0);
    assert_eq!(machine.request(0x1000_0000), (Error::TooMany as i32, None));
    assert!(machine.error().contains("wait until the guest has answered"));
    assert_eq!(machine.withdraw(7), Error::NoSuchRequest as i32);
    assert_eq!(machine.request_together(&[0x1000_0000, 0x1000_0000]).0, Error::Argument as i32);
    assert_eq!(machine.open_requests().len(), 1);
}
