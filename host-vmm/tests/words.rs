// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words of the guest, exhaustively: every class of words. The properties are written so that Kani can prove them for
//! every word.

use papr_unplug::{
    decode::{self, Call},
    drc::Input,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        reason::Reason,
        report::{Errno, Report},
        rtas::{Indicator, Status},
        token::Token,
    },
};

const INDEX: u32 = 0x8000_0008;
const REPORTS: Option<Indicator> = Some(Indicator(9100));

/// Checks every opcode, reason and errno, with every low half that is 0, all ones or has one bit.
#[cfg(not(kani))]
fn for_all_words(property: impl Fn(u32)) {
    let step = if cfg!(miri) { 511 } else { 1 };
    for high in (0..=u32::from(u16::MAX)).step_by(step) {
        (0..16).map(|bit| 1 << bit).chain([0, 0xFFFF]).for_each(|low| property(high << 16 | low));
    }
}

#[cfg(kani)]
fn for_all_words(property: impl Fn(u32)) {
    property(kani::any());
}

/// Checks every indicator up to the end of the vendors' range, and the largest number.
#[cfg(not(kani))]
fn for_all_indicators(property: impl Fn(u32)) {
    (0..=10_100).chain([u32::MAX]).for_each(property);
}

#[cfg(kani)]
fn for_all_indicators(property: impl Fn(u32)) {
    property(kani::any());
}

/// Reads a report word by the table in "Report word".
fn by_the_table(word: u32) -> Option<Report> {
    let (opcode, reason, errno, low) = (word >> 29, (word >> 24 & 31) as u8, (word >> 16) as u8, word as u16);
    let token = Token(low);
    match (opcode, reason, errno, low) {
        (1, 0, _, 1..) => Some(Report::Arm { classes: Classes(low), features: Features(errno) }),
        (2, 0, 0, 0) => Some(Report::Disarm),
        (3, 0, 0, _) => Some(Report::Started { token }),
        (4, ..) => Some(Report::Refused { token, reason: Reason(reason), errno: Errno(errno) }),
        (5, 0, 0, _) => Some(Report::Done { token }),
        _ => None,
    }
}

/// PUE-V-011, PUE-V-012, PUE-V-039
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn word_is_read_by_the_table_or_malformed() {
    for_all_words(|word| {
        let expected = by_the_table(word).map(|report| Call::Report(DrcIndex(INDEX), report));
        let read = decode::set_indicator([9100, INDEX, word], REPORTS);
        assert_eq!(read, expected.ok_or(Status::MALFORMED), "{word:#010x}");
    });
}

/// PUE-V-003
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn indicator_that_takes_no_reports_does_not_exist_or_is_lopars() {
    for_all_indicators(|indicator| {
        for state in [0, 1, 2, 3, 4, 0x4000_0000, u32::MAX] {
            let read = decode::set_indicator([indicator, INDEX, state], None);
            let index = DrcIndex(INDEX);
            let expected = match (indicator, state) {
                (9001, 0) => Ok(Call::Transition(index, Input::Isolate)),
                (9001, 1) => Ok(Call::Transition(index, Input::Unisolate)),
                (9003, 0) => Ok(Call::Transition(index, Input::Unusable)),
                (9003, 1) => Ok(Call::Transition(index, Input::Usable)),
                (9002, 0..=3) => Ok(Call::DrIndicator(index)),
                _ => Err(Status::NO_SUCH_INDICATOR),
            };
            assert_eq!(read, expected, "{indicator} {state:#x}");
            let is_other = indicator != 9100;
            assert!(!is_other || read == decode::set_indicator([indicator, INDEX, state], REPORTS), "{indicator}");
        }
    });
}

#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn sensor_other_than_dr_entity_sense_does_not_exist() {
    for_all_indicators(|sensor| {
        let expected = if sensor == 9003 { Ok(DrcIndex(INDEX)) } else { Err(Status::NO_SUCH_INDICATOR) };
        assert_eq!(decode::get_sensor_state([sensor, INDEX]), expected);
    });
}
