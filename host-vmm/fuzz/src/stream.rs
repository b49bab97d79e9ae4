// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hostile migration stream.

use crate::{
    history::History,
    oracle::{
        machine::OFFERS,
        subject::{machine, plugged},
    },
};
use arbitrary::Arbitrary;

/// Origin of the stream.
#[derive(Arbitrary, Debug)]
pub enum Stream {
    /// Any bytes.
    Bytes { offer: u8, bytes: Vec<u8> },
    /// Saved state of a machine with a history, with some bytes overwritten, and cut off.
    Damaged { cut: Option<u16>, writes: [(u16, u8); 3], history: History },
}

/// Restores the stream on a machine that has the devices (PUE-V-084).
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
    if tracker.restore(&bytes, &mut ()).is_err() {
        assert_eq!(tracker.save(), before, "a stream that was rejected has changed something");
        return;
    }
    assert_eq!(tracker.save(), bytes, "a stream was taken for something else");
    assert!(bytes.len() <= tracker.max_saved_len(), "PUE-V-088");
    crate::oracle::subject::is_possible(&tracker);
    // The machine takes every call that can follow.
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
