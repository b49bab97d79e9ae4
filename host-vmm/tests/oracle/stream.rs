// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writer of a saved state, after the table in the documentation of `papr_unplug::snapshot`.

use super::reference::{Reference, indexes_of};

/// Returns the stream that a VMM in this state saves if it keeps no outcomes. `token` returns the number of a request's token.
pub fn stream(reference: &Reference, token: impl Fn(u64) -> u16) -> Vec<u8> {
    let mut bytes = Bytes(b"PUES".to_vec());
    let (indicator, classes, features) = reference.offered.unwrap_or_default();
    let mut plugged = reference.plugged.clone();
    plugged.sort_by_key(|device| device.plan.1);
    bytes.u16(1);
    bytes.u16(reference.armed);
    bytes.u32(u32::from(reference.features));
    [indicator, u32::from(classes), u32::from(features)].into_iter().for_each(|cell| bytes.u32(cell));
    bytes.u64(reference.asked);
    bytes.u64(u64::from(token(reference.asked)));
    bytes.u32(plugged.len() as u32);
    bytes.u32(reference.requests.len() as u32);
    bytes.u32(0);
    for device in plugged {
        let state = |index| reference.connectors.iter().find(|one| one.index == index).unwrap().state;
        let states: Vec<u8> = indexes_of(device.plan).map(state).collect();
        let runs: Vec<&[u8]> = states.chunk_by(|one, next| one == next).collect();
        let numbers =
            [device.plan.1, device.plan.2, u32::from(device.wanted) | u32::from(device.echo) << 1, runs.len() as u32];
        numbers.into_iter().for_each(|number| bytes.u32(number));
        for run in runs {
            bytes.u32(u32::from(run[0]));
            bytes.u32(run.len() as u32);
        }
    }
    for request in &reference.requests {
        bytes.u64(request.id);
        bytes.u32(request.device.1);
        bytes.u32(request.hint.unwrap_or(0));
        bytes.u16(if request.token { token(request.id) } else { 0 });
        let flags = [
            (request.promised, 1),
            (request.started, 2),
            (request.hint.is_some(), 4),
            (request.withheld, 8),
            (request.imported, 16),
        ];
        bytes.u16(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
    }
    bytes.0
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(&mut self, number: u16) {
        self.0.extend(number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }
}
