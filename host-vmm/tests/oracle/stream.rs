// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writer of a saved state, after the table in the documentation of `papr_unplug::snapshot`.

use papr_unplug::wire::offer::Classes;
use papr_unplug_model::reference::Reference;

/// Returns the stream that a VMM in this state saves if it keeps no outcomes.
pub fn stream(reference: &Reference) -> Vec<u8> {
    let mut bytes = StreamWriter(b"PUES".to_vec());
    let terms = reference.offered.map(|offer| [offer.indicator, offer.classes, offer.features].map(|cell| cell.get()));
    let mut plugged = reference.plugged.clone();
    plugged.sort_by_key(|plugged| plugged.device.first);
    bytes.u16(version(reference));
    bytes.u16(reference.armed.0);
    bytes.u32(u32::from(reference.features.0));
    terms.unwrap_or_default().into_iter().for_each(|cell| bytes.u32(cell));
    bytes.u64(reference.last);
    bytes.u64(reference.tokens);
    bytes.u32(plugged.len() as u32);
    bytes.u32(reference.requests.len() as u32);
    bytes.u32(0);
    for plugged in plugged {
        let device = plugged.device;
        let state = |index| reference.connector(index).unwrap().state;
        let states: Vec<u8> = device.connectors().map(state).collect();
        let runs: Vec<&[u8]> = states.chunk_by(|one, next| one == next).collect();
        let flags = u32::from(plugged.wanted) | u32::from(plugged.report_follows) << 1;
        let numbers = [device.first.0, device.count, flags, runs.len() as u32];
        numbers.into_iter().for_each(|number| bytes.u32(number));
        for run in runs {
            bytes.u32(u32::from(run[0]));
            bytes.u32(run.len() as u32);
        }
    }
    for request in &reference.requests {
        bytes.u64(request.id);
        bytes.u32(request.device.first.0);
        bytes.u32(request.hint.map_or(0, |hint| hint.0));
        bytes.u16(request.token.0);
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

/// Returns the lowest version that has room for what the guest was offered and knows by tokens.
fn version(reference: &Reference) -> u16 {
    let offered = reference.offered.map_or(Classes::empty(), |offer| offer.classes());
    let tokens = reference.requests.iter().filter(|request| request.token.is_some());
    let known = tokens.fold(offered, |classes, request| classes | request.device.class());
    if known.intersects(Classes::IN_USER_SPACE) { 2 } else { 1 }
}

struct StreamWriter(Vec<u8>);

impl StreamWriter {
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
