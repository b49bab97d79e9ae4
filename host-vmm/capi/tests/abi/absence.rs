// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is not there: machines, devices, connectors, offers.

use crate::machine::{Machine, REPORTS};
use papr_unplug_capi::{PaprUnplugError as Error, PaprUnplugOffer, papr_unplug_explain, papr_unplug_new};
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
        null.set_offer(None),
        null.import(8, 4, true),
        null.restore(&[]),
    ];
    assert_eq!(codes, [Error::Argument as i32; 8]);
    let statuses = [null.set_indicator(9001, 8, 0), null.configure(8, true), null.configured(8)];
    assert_eq!(statuses, [-1; 3]);
    assert_eq!(null.get_sensor_state(9003, 8), (-1, 0));
    assert_eq!((null.state(8), null.pending(8), null.has_more()), (0, false, false));
    assert_eq!((null.armed(), null.section(1, 24).0, null.save_into(0).0), ((0, 0), 0, 0));
    assert_eq!((null.next_effect(), null.open_requests(), null.request(8).1), (None, vec![], None));
    assert_eq!(null.error(), "no machine was given");
    null.reset();
}

#[test]
fn effect_that_is_null_explains_nothing() {
    let mut text = [0x7F; 4];
    // SAFETY: there is room for 4.
    let length = unsafe { papr_unplug_explain(ptr::null(), text.as_mut_ptr(), 4) };
    assert_eq!((length, text), (0, [0, 0x7F, 0x7F, 0x7F]));
}

#[test]
fn offer_that_means_nothing_makes_no_machine() {
    let good = PaprUnplugOffer { indicator: REPORTS, classes: 0x46, features: 3 };
    let bad = [
        PaprUnplugOffer { indicator: 0, ..good },
        PaprUnplugOffer { indicator: 9099, ..good },
        PaprUnplugOffer { indicator: 10_000, ..good },
        PaprUnplugOffer { classes: 0x80, ..good },
        PaprUnplugOffer { classes: 0x1_0002, ..good },
        PaprUnplugOffer { features: 4, ..good },
        PaprUnplugOffer { features: 0x100, ..good },
    ];
    // SAFETY: the offers are offers.
    assert!(bad.iter().all(|offer| unsafe { papr_unplug_new(offer, 0) }.is_null()));
    let machine = Machine::new(0);
    assert!(bad.iter().all(|offer| machine.set_offer(Some(offer)) == Error::Argument as i32));
    assert!(machine.error().contains("9100 to 9999"));
    assert_eq!(machine.set_offer(Some(&good)), 0);
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
    assert_eq!(machine.open_requests().len(), 1);
}
