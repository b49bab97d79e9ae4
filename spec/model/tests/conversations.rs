// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the conversations of `spec/vectors` against the reference VMM.

use papr_unplug_model::{
    machine::{Device, UNPLUG_STATUS},
    mutant::Mutant,
    reference::Reference,
    vmm::{Effects, Event, Input, Outcome, Source, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features},
    reason::Reason,
    report::{Errno, Report},
    rtas::Indicator,
    token::Token,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, path::Path};

#[derive(Deserialize)]
struct Conversation {
    name: String,
    clauses: Vec<String>,
    steps: Vec<(Value, Value)>,
}

/// The tokens that the VMM gave, in order.
#[derive(Default)]
struct Tokens(Vec<Token>);

impl Tokens {
    fn read(&self, value: &Value) -> Token {
        match value.as_str().map(|name| name.split_at(1)) {
            None => Token::NONE,
            Some(("T", place)) => self.0[place.parse::<usize>().unwrap() - 1],
            Some(_) => Token(number(value) as u16),
        }
    }
}

fn number(value: &Value) -> u32 {
    match value.as_str() {
        Some(hex) => u32::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap(),
        None => value.as_u64().unwrap_or(0) as u32,
    }
}

fn device(value: &Value) -> Device {
    if value == "cpu" { Device::Cpu } else { Device::Dimm }
}

fn report(step: &Value, tokens: &Tokens) -> Report {
    let token = tokens.read(&step["token"]);
    match step["report"].as_str().unwrap() {
        "ARM" => {
            let classes = Classes(number(&step["classes"]) as u16);
            Report::Arm { classes, features: Features(number(&step["features"]) as u8) }
        }
        "DISARM" => Report::Disarm,
        "STARTED" => Report::Started { token },
        "REFUSED" => {
            let reason = Reason(number(&step["reason"]) as u8);
            Report::Refused { token, reason, errno: Errno(number(&step["errno"]) as u8) }
        }
        "DONE" => Report::Done { token },
        other => panic!("no such report: {other}"),
    }
}

fn input(step: &Value, tokens: &Tokens) -> Input {
    let (verb, argument) = step.as_object().unwrap().iter().find(|(key, _)| VERBS.contains(&key.as_str())).unwrap();
    match verb.as_str() {
        "device_del" => Input::DeviceDel(device(argument)),
        "report" => Input::SetIndicator(UNPLUG_STATUS, DrcIndex(number(&step["index"])), report(step, tokens).word().0),
        "set_indicator" => {
            Input::SetIndicator(Indicator(number(&argument[0])), DrcIndex(number(&argument[1])), number(&argument[2]))
        }
        "configure_connector" => Input::Configure(DrcIndex(number(argument))),
        "reset" => Input::Reset,
        _ if argument == "level 0" => Input::MigrateToLevel0,
        _ if argument == "level 1" => Input::MigrateToLevel1,
        _ => Input::Migrate,
    }
}

const VERBS: [&str; 6] = ["device_del", "report", "set_indicator", "configure_connector", "reset", "migrate"];

fn event(event: Event, tokens: &mut Tokens) -> Value {
    let name = |device| if device == Device::Cpu { "cpu" } else { "dimm" };
    match event {
        Event::Hotplug(device, Token::NONE) => json!({"hotplug": name(device)}),
        Event::Hotplug(device, token) => {
            assert!(!tokens.0.contains(&token), "a token was given twice");
            tokens.0.push(token);
            json!({"hotplug": name(device), "token": format!("T{}", tokens.0.len())})
        }
        Event::Deleted(device) => json!({"deleted": name(device)}),
        Event::Outcome(id, _, Outcome::Released) => json!({"request": id.unwrap() + 1, "released": true}),
        Event::Outcome(id, _, Outcome::Reset) => json!({"request": id.unwrap() + 1, "reset": true}),
        Event::Outcome(id, _, Outcome::Refused { connector, reason, errno, source }) => json!({
            "request": id.unwrap() + 1,
            "refused": connector.index().to_string(),
            "reason": reason.0,
            "errno": errno.0,
            "source": match source {
                Source::Token => "token",
                Source::Order => "order",
                Source::Inferred => "inferred",
            },
        }),
    }
}

fn output(effects: Effects, vmm: &Reference, lists_open: bool, tokens: &mut Tokens) -> Value {
    let mut output = json!({});
    if let Some(status) = effects.status {
        output["status"] = json!(status.0);
    }
    match effects.asked {
        Some(Ok(id)) => output["request"] = json!(id + 1),
        Some(Err(_)) => output["error"] = json!(true),
        None => {}
    }
    if !effects.events.is_empty() {
        output["events"] = effects.events.into_iter().map(|told| event(told, tokens)).collect();
    }
    if lists_open {
        let how = |promised| if promised { "promised" } else { "open" };
        output["open"] = vmm.open().iter().map(|open| json!([open.request + 1, how(open.promised)])).collect();
    }
    output
}

fn conversations() -> Vec<Conversation> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/conversations");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect()
}

#[test]
fn reference_vmm_answers_as_the_conversations_say() {
    for conversation in conversations() {
        let mut vmm = Reference::new(Mutant::None);
        let mut tokens = Tokens::default();
        for (number, (given, expected)) in conversation.steps.iter().enumerate() {
            let effects = vmm.step(input(given, &tokens));
            let given_back = output(effects, &vmm, expected.get("open").is_some(), &mut tokens);
            assert_eq!(&given_back, expected, "{}, step {}: {given}", conversation.name, number + 1);
        }
    }
}

#[test]
fn every_conversation_names_its_clauses() {
    let all = conversations();
    assert!(all.len() >= 25);
    assert!(all.iter().all(|conversation| !conversation.clauses.is_empty() && !conversation.steps.is_empty()));
}
