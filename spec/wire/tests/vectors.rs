// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the vectors of `spec/vectors` that need no state.

use papr_unplug_wire::wire::{
    hotplug::HotplugRequest,
    offer::{Classes, Features, Offer},
    reason::Reason,
    report::{Errno, Report, Word},
    section::{HotplugSection, TokenSection},
    token::Token,
};
use serde::Deserialize;
use zerocopy::IntoBytes as _;

#[derive(Deserialize)]
struct WordCase {
    name: String,
    word: String,
    means: Option<Meaning>,
}

#[derive(Deserialize)]
struct Meaning {
    opcode: String,
    #[serde(default)]
    classes: u16,
    #[serde(default)]
    features: u8,
    #[serde(default)]
    token: u16,
    #[serde(default)]
    reason: u8,
    #[serde(default)]
    errno: u8,
}

#[derive(Deserialize)]
struct SectionCase {
    name: String,
    bytes: String,
    token: u16,
    #[serde(default)]
    written: bool,
}

#[derive(Deserialize)]
struct OfferCase {
    name: String,
    bytes: String,
    offer: Option<OfferMeaning>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct OfferMeaning {
    indicator: u32,
    classes: u16,
    features: u8,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

fn report(meaning: &Meaning) -> Report {
    let token = Token(meaning.token);
    match meaning.opcode.as_str() {
        "ARM" => Report::Arm { classes: Classes(meaning.classes), features: Features(meaning.features) },
        "DISARM" => Report::Disarm,
        "STARTED" => Report::Started { token },
        "REFUSED" => Report::Refused { token, reason: Reason(meaning.reason), errno: Errno(meaning.errno) },
        "DONE" => Report::Done { token },
        other => panic!("no such opcode: {other}"),
    }
}

#[test]
fn words_mean_what_the_vectors_say() {
    let cases: Vec<WordCase> = serde_json::from_str(include_str!("../../vectors/words.json")).unwrap();
    for case in cases {
        let word = Word(u32::from_str_radix(case.word.trim_start_matches("0x"), 16).unwrap());
        assert_eq!(word.report(), case.means.as_ref().map(report), "{}", case.name);
    }
}

#[test]
fn sections_carry_the_token_that_the_vectors_say() {
    let cases: Vec<SectionCase> = serde_json::from_str(include_str!("../../vectors/sections.json")).unwrap();
    for case in cases {
        assert_eq!(HotplugSection::token(&bytes(&case.bytes)), Token(case.token), "{}", case.name);
    }
}

#[test]
fn sections_are_written_as_the_vectors_say() {
    let cases: Vec<SectionCase> = serde_json::from_str(include_str!("../../vectors/sections.json")).unwrap();
    for case in cases.iter().filter(|case| case.written) {
        let expected = bytes(&case.bytes);
        let request = HotplugRequest::from_bytes(&expected[8..]).unwrap();
        let with_token = TokenSection::new(request, Token(case.token));
        let without = HotplugSection::new(request);
        let written = if case.token == 0 { without.as_bytes() } else { with_token.as_bytes() };
        assert_eq!(written, expected, "{}", case.name);
    }
}

#[test]
fn offers_are_read_as_the_vectors_say() {
    let cases: Vec<OfferCase> = serde_json::from_str(include_str!("../../vectors/offers.json")).unwrap();
    for case in cases {
        let read = Offer::from_bytes(&bytes(&case.bytes)).map(|offer| OfferMeaning {
            indicator: offer.indicator().0,
            classes: offer.classes().0,
            features: offer.features().0,
        });
        assert_eq!(read, case.offer, "{}", case.name);
    }
}
