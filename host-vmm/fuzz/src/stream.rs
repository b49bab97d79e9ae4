// SPDX-License-Identifier: MIT OR Apache-2.0

//! A migration stream from somebody who cannot be trusted.

use crate::{
    history::History,
    oracle::{
        machine::OFFERS,
        subject::{machine, plugged},
    },
};
use arbitrary::Arbitrary;

/// Where the stream comes from.
#[derive(Arbitrary, Debug)]
pub enum Stream {
    /// Nowhere.
    Bytes { offer: u8, bytes: Vec<u8> },
    /// A machine that has lived; then somebody wrote over some bytes, and cut it off.
    Damaged { cut: Option<u16>, writes: [(u16, u8); 3], history: History },
}

/// Restores it, on a machine that has the devices (PUE-V-084).
pub fn restore(stream: Stream) {
    let (offer, plugged, bytes) = match stream {
        Stream::Bytes { offer, bytes } => {
            (OFFERS.get(usize::from(offer & 3)).copied(), crate::oracle::machine::DEVICES.to_vec(), bytes)
        }
        Stream::Damaged { cut, writes, history } => {
            let (subject, oracle) = history.live(|_| ());
            let mut bytes = subject.tracker.save();
            for (at, byte) in writes {
                let length = bytes.len();
                bytes[usize::from(at) % length] = byte;
            }
            bytes.truncate(cut.map_or(usize::MAX, usize::from));
            (oracle.reference.config.offer, plugged(&oracle.reference), bytes)
        }
    };
    let mut tracker = machine(offer, &plugged);
    let before = tracker.save();
    if tracker.restore(&bytes).is_err() {
        assert_eq!(tracker.save(), before, "a stream that was rejected has changed something");
        return;
    }
    assert_eq!(tracker.save(), bytes, "a stream was taken for something else");
    crate::oracle::subject::is_possible(&tracker);
    // Whatever it is, it must take everything that can follow.
    for index in crate::oracle::machine::indexes() {
        for (indicator, state) in [(9001, 0), (9001, 1), (9003, 0), (9003, 1), (9002, 1), (9100, 0xA000_0000)] {
            let mut after = tracker.clone();
            after.set_indicator(&[indicator, index, state], &mut ());
            crate::oracle::subject::is_possible(&after);
        }
    }
    tracker.reset(&mut ());
    crate::oracle::subject::is_possible(&tracker);
    assert!(tracker.requests().is_empty());
}
