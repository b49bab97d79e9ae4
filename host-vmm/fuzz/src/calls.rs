// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words of one RTAS call, and other data from the other side.

use arbitrary::Arbitrary;
use papr_unplug::{
    Tracker,
    decode::{self, Call},
    event::{Device, End, Evidence, Outcome, Refusal, RequestId},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::Offer,
        reason::Reason,
        report::{Errno, Report, Word},
        rtas::{Indicator, Status},
        section::HotplugSection,
        token::Token,
    },
};

/// Data from the other side.
#[derive(Arbitrary, Debug)]
pub enum Heard {
    /// Input words of `set-indicator`, and the indicator that takes reports.
    SetIndicator([u32; 3], Option<u32>),
    /// Any number of input words.
    Words(Vec<u32>),
    /// A report word.
    Report(u32),
    /// A hot plug section, or an offer.
    Bytes(Vec<u8>),
    /// Refusal to be explained.
    Refusal { resource: u8, first: u32, count: u32, connector: u32, reason: u8, errno: u8, request: u64 },
}

/// Reads the data, and checks what holds for every reading.
pub fn read(heard: Heard) {
    match heard {
        Heard::SetIndicator(words, reports_on) => set_indicator(words, reports_on.map(Indicator)),
        Heard::Words(words) => {
            let mut tracker = Tracker::new(papr_unplug::Config::default());
            let before = tracker.save();
            // Without connectors and offers every call fails.
            assert_eq!(tracker.set_indicator(&words, &mut ()), Status::NO_SUCH_INDICATOR);
            assert_eq!(tracker.get_sensor_state(&words).0, Status::NO_SUCH_INDICATOR);
            assert_eq!(tracker.save(), before);
        }
        Heard::Report(word) => report(Word(word)),
        Heard::Bytes(bytes) => {
            let token = HotplugSection::token(&bytes);
            assert!(!token.is_some() || (bytes.len() >= 24 && bytes.starts_with(b"HP")));
            assert!(Offer::from_bytes(&bytes).is_none_or(|offer| (9100..=9999).contains(&offer.indicator().0)));
        }
        Heard::Refusal { resource, first, count, connector, reason, errno, request } => {
            let Some(connectors) = papr_unplug::Span::new(DrcIndex(first), count) else { return };
            let (reason, errno) = (Reason(reason), Errno(errno));
            let refusal = Refusal::new(DrcIndex(connector), reason, errno, Evidence::Token);
            let device = Device { resource: Resource(resource), connectors };
            let outcome = Outcome::new(RequestId(request), device, End::Refused(refusal));
            assert!(outcome.to_string().contains(&format!("{connector:#010x}")));
        }
    }
}

/// PUE-V-003, PUE-V-012: every call is in the tables, or gets a status.
fn set_indicator(words: [u32; 3], reports_on: Option<Indicator>) {
    let [indicator, index, state] = words;
    match decode::set_indicator(words, reports_on) {
        Ok(Call::Transition(at, input)) => {
            assert!(at.0 == index && matches!((indicator, state), (9001 | 9003, 0 | 1)), "{input:?}");
        }
        Ok(Call::DrIndicator(at)) => assert!(at.0 == index && indicator == 9002 && state <= 3),
        Ok(Call::Report(at, report)) => {
            assert!(at.0 == index && reports_on == Some(Indicator(indicator)) && report.word() == Word(state));
        }
        Err(Status::MALFORMED) => assert!(reports_on == Some(Indicator(indicator)) && Word(state).report().is_none()),
        Err(status) => assert_eq!(status, Status::NO_SUCH_INDICATOR),
    }
}

/// PUE-V-011, PUE-V-012: a word with a meaning is the only word with that meaning.
fn report(word: Word) {
    let meaning = word.report();
    assert!(meaning.is_none_or(|meaning| meaning.word() == word));
    let token = match meaning {
        Some(Report::Started { token } | Report::Done { token } | Report::Refused { token, .. }) => token,
        Some(Report::Arm { .. } | Report::Disarm) | None => Token::NONE,
    };
    assert!(!token.is_some() || token.0 == word.low());
    assert!(!word.to_string().is_empty());
}
