// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversations and report words of `spec/vectors`, played to a VMM without a guest.

use crate::{
    verdict::{Seen, Verdict},
    vm::is_offer,
};
use anyhow::{Context as _, Result, bail};
use papr_unplug_differential::{
    answer::Response, device_tree, keeper::Keeper as _, machine::Device, monitor::Reply, party::Party as _,
    program::Program, qtest::QtestError, step::Step, vmm::Vmm,
};
use papr_unplug_model::{
    conversation::{self, Conversation, Tokens},
    machine as vectors,
    vmm::Input,
};
use papr_unplug_qmp::message::Event;
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::Offer,
    report::{Report, Word},
    rtas::{Indicator, Status},
    token::Token,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// The devices of the vectors, and those that take their place in the machine.
const DEVICES: [(vectors::Device, Device); 4] = [
    (vectors::CPU, Device::Core),
    (vectors::DIMM, Device::Dimm2),
    (vectors::FUNCTION0, Device::Function0),
    (vectors::FUNCTION1, Device::Function1),
];

/// The clause about bounds. The vectors' machine has narrower ones than a VMM that is used.
const BOUNDS: &str = "PUE-V-052";

/// The clauses about what a list shows. They are not shown of a VMM without one.
const OF_LISTS: [&str; 3] = ["PUE-V-026", "PUE-V-055", "PUE-V-101"];

/// The directory of the vectors.
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors");

/// The command that lists open requests, and the one that withdraws a request. A VMM SHOULD have them.
const LIST: &str = "query-device-unplug-requests";
const WITHDRAW: &str = "device-unplug-withdraw";

/// The most events that a step may leave for the guest, and the most calls that read the node of a connector.
const EVENTS: usize = 64;
const CALLS: u32 = 10_000;

/// Report word of the vectors.
#[derive(Deserialize)]
struct WordVector {
    name: String,
    word: String,
    /// Null for a word without a meaning.
    means: Value,
}

/// The end of a conversation before its last step.
enum End {
    /// The VMM cannot do the step, and need not.
    LeftOut,
    /// The VMM fails in another way than by its answer.
    Fails(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Fails(error.into())
    }
}

/// Step that a VMM answers otherwise.
struct Broken {
    /// The clauses that the step shows.
    clauses: Vec<String>,
    verdict: Verdict,
}

/// Findings of the steps of conversations.
#[derive(Default)]
struct Shown {
    held: BTreeSet<String>,
    broken: Vec<Broken>,
}

impl Shown {
    /// Adds the verdicts. Where a step that is about several clauses is broken, those are to blame that hold nowhere else,
    /// or all if each does.
    fn judge(self, seen: &mut Seen) {
        let Self { held, broken } = self;
        held.iter().for_each(|clause| seen.add(clause, Verdict::Pass));
        for Broken { clauses, verdict } in broken {
            let holds_nowhere = |clause: &&String| !held.contains(*clause);
            let is_clear = clauses.iter().any(|clause| holds_nowhere(&clause));
            let blamed = clauses.iter().filter(|clause| !is_clear || holds_nowhere(clause));
            blamed.for_each(|clause| seen.add(clause, verdict.clone()));
        }
    }
}

/// Plays the conversations that need no other VMM and no guest, and that fit what the VMM offers.
pub fn judge(program: &Program) -> Result<Seen> {
    let is_asked_for = |device: &Device| DEVICES.iter().any(|(_, here)| here == device);
    let others = Device::ALL.into_iter().filter(|device| !is_asked_for(device));
    let program = &others.fold(program.clone(), Program::without);
    let mut seen = Seen::default();
    let offer = offer(program, &mut seen)?;
    let mut shown = Shown::default();
    if let Some(offer) = &offer {
        play_words(program, offer, &mut shown)?;
    }
    for conversation in read()? {
        if is_within(&conversation, offer.as_ref()) {
            play(&conversation, program, offer.as_ref(), &mut shown)?;
        }
    }
    shown.judge(&mut seen);
    Ok(seen)
}

/// Plays the report words. Whether a word has a meaning is all that its status says; conversations show which one.
fn play_words(program: &Program, offer: &Offer, shown: &mut Shown) -> Result<()> {
    let file = Path::new(VECTORS).join("words.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let words: Vec<WordVector> = serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    let mut vmm = Vmm::start(program)?;
    for WordVector { name, word, means } in words {
        let digits = word.strip_prefix("0x").context("a word that is not hexadecimal")?;
        let step = Step::Set(offer.indicator().0, 0, u32::from_str_radix(digits, 16)?);
        let response = vmm.play(&step)?.response;
        let has_no_meaning = response == Response::Status(Status::MALFORMED.0);
        let holds = matches!(response, Response::Status(_)) && has_no_meaning == means.is_null();
        let clause = if means.is_null() { "PUE-V-012" } else { "PUE-V-011" }.to_owned();
        if holds {
            shown.held.insert(clause);
        } else {
            let verdict = Verdict::Fail { scenario: name, because: format!("the word {word} gets {response}") };
            shown.broken.push(Broken { clauses: vec![clause], verdict });
        }
    }
    Ok(())
}

/// Reads the conversations, in the order of their files' names.
fn read() -> Result<Vec<Conversation>> {
    let dir = Path::new(VECTORS).join("conversations");
    let files = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let parse = |file: &Path| serde_json::from_str(&fs::read_to_string(file)?).context("no conversation");
    files.iter().map(|file| parse(file).with_context(|| format!("in {}", file.display()))).collect()
}

/// Returns whether a conversation can be played to a VMM with this offer.
fn is_within(conversation: &Conversation, offer: Option<&Offer>) -> bool {
    let is_about_bounds = conversation.clauses.iter().any(|clause| clause == BOUNDS);
    !is_about_bounds
        && conversation.steps.iter().all(|step| {
            let leaves = step.input.get("migrate").is_some_and(|to| to != "same");
            let succeeds = step.output["status"] == 0;
            let fits = match (step.read(&Tokens::default()), offer) {
                (Some(Input::SetIndicator(vectors::UNPLUG_STATUS, _, word)), Some(offer)) => {
                    match Word(word).report() {
                        Some(Report::Arm { classes, features }) if succeeds => {
                            offer.classes().contains(classes) && offer.features().contains(features)
                        }
                        Some(Report::Arm { classes, .. }) if step.output["status"] == -9007 => {
                            !offer.classes().contains(classes)
                        }
                        _ => true,
                    }
                }
                // A report without an effect is left out, one with an effect cannot be made.
                (Some(Input::SetIndicator(vectors::UNPLUG_STATUS, ..)), None) => !succeeds,
                _ => step.input.get("report").is_none() || offer.is_some() || !succeeds,
            };
            !leaves && fits
        })
}

/// Judges what the VMM offers, and returns it.
fn offer(program: &Program, seen: &mut Seen) -> Result<Option<Offer>> {
    const SCENARIO: &str = "a machine is started, and a device asked for";
    let mut vmm = Vmm::start(program)?;
    let tree = vmm.device_tree()?;
    let properties = device_tree::properties(&tree);
    let value = properties.iter().find(|property| is_offer(property)).map(|property| property.value);
    let judged = |holds: bool, because: String| {
        if holds { Verdict::Pass } else { Verdict::Fail { scenario: SCENARIO.to_owned(), because } }
    };
    let offer = value.filter(|value| value.len() == Offer::SIZE).and_then(Offer::from_bytes);
    match (value, &offer) {
        (None, _) => {
            let response = vmm.play(&Step::DISARM)?.response;
            let because = format!("set-indicator on a vendor indicator returns {response}");
            seen.add("PUE-V-003", judged(response == Response::Status(-3), because));
        }
        (Some(value), None) => seen.add("PUE-V-001", judged(false, format!("the property is {value:02x?}"))),
        (Some(_), Some(offer)) => {
            seen.add("PUE-V-001", Verdict::Pass);
            let number = offer.indicator().0;
            let lists = properties.iter().filter(|property| property.name == b"rtas-indicators");
            let mut listed = lists.flat_map(|list| list.value.chunks_exact(8)).map(|entry| &entry[..4]);
            let is_listed = listed.any(|indicator| indicator == number.to_be_bytes());
            seen.add("PUE-V-002", judged(!is_listed, format!("{number} is in rtas-indicators")));
        }
    }
    let reply = vmm.execute("device_del", json!({ "id": Device::Core.id() }))?;
    let is_numbered = matches!(&reply, Reply::Done(answer) if answer["request"].is_u64());
    seen.add(
        "PUE-V-103",
        judged(is_numbered, format!("device_del returns {reply:?}, without the number of a request")),
    );
    Ok(offer)
}

/// Plays a conversation. Each step shows its clauses; what comes behind a step with another output is not shown.
fn play(conversation: &Conversation, program: &Program, offer: Option<&Offer>, shown: &mut Shown) -> Result<()> {
    let mut player = Player {
        vmm: Some(Vmm::start(program)?),
        program,
        offer,
        numbers: Vec::new(),
        tokens: Tokens::default(),
        given: Vec::new(),
    };
    let has_list = player.has_list()?;
    for (place, step) in conversation.steps.iter().enumerate() {
        if offer.is_none() && step.input.get("report").is_some() {
            continue;
        }
        let input = step.read(&player.tokens).with_context(|| format!("{}: no input", conversation.name))?;
        let because = match player.step(input, &step.output) {
            Ok(output) if output == step.output => None,
            Ok(output) => Some(conversation.differs(place, &output)),
            Err(End::LeftOut) => return Ok(()),
            Err(End::Fails(error)) => Some(format!("step {}: {error:#}", place + 1)),
        };
        let is_shown = |clause: &&String| has_list || !OF_LISTS.contains(&clause.as_str());
        let clauses = step.clauses.iter().filter(is_shown).cloned();
        if let Some(because) = because {
            let verdict = Verdict::Fail { scenario: conversation.name.clone(), because };
            shown.broken.push(Broken { clauses: clauses.collect(), verdict });
            return Ok(());
        }
        shown.held.extend(clauses);
    }
    Ok(())
}

/// Player of one conversation.
struct Player<'a> {
    vmm: Option<Vmm>,
    program: &'a Program,
    offer: Option<&'a Offer>,
    /// The numbers of requests, in the order of their first appearance.
    numbers: Vec<u64>,
    tokens: Tokens,
    /// The tokens that the VMM has given.
    given: Vec<u32>,
}

impl Player<'_> {
    fn vmm(&mut self) -> Result<&mut Vmm> {
        self.vmm.as_mut().context("the VMM is gone")
    }

    /// Returns whether the VMM lists open requests.
    fn has_list(&mut self) -> Result<bool> {
        Ok(matches!(self.vmm()?.execute(LIST, json!({}))?, Reply::Done(_)))
    }

    /// Takes a step and returns what comes out.
    fn step(&mut self, input: Input, expected: &Value) -> Result<Value, End> {
        let mut output = json!({});
        let mut told = Vec::new();
        let mut made = None;
        match input {
            Input::DeviceDel(device) | Input::Withhold(device) | Input::Together([_, device]) => {
                match self.play(Step::Remove(here(device)?), &mut told)? {
                    Response::Accepted => made = Some(self.vmm()?.made()),
                    Response::Rejected(_) => output["error"] = json!(true),
                    other => output["abort"] = json!(other.to_string()),
                }
            }
            Input::Withdraw(request) => {
                let place = usize::try_from(request)?.checked_sub(1).context("no request")?;
                // A VMM that tells no numbers has nothing to withdraw by.
                let Some(number) = self.numbers.get(place).copied() else { return Err(End::LeftOut) };
                match self.vmm()?.execute(WITHDRAW, json!({ "request": number }))? {
                    Reply::Done(_) => output["request"] = json!(request),
                    Reply::Refused(error) if error.class == "CommandNotFound" => return Err(End::LeftOut),
                    Reply::Refused(_) => output["error"] = json!(true),
                    Reply::Gone => output["abort"] = json!(true),
                }
            }
            Input::SetIndicator(indicator, index, value) => {
                let offered = self.offer.map_or(indicator, Offer::indicator);
                let Indicator(number) = if indicator == vectors::UNPLUG_STATUS { offered } else { indicator };
                let response = self.play(Step::Set(number, index_here(index), value), &mut told)?;
                status(&mut output, response);
            }
            Input::Configure(index) => {
                let response = self.play(Step::Configure(index_here(index), CALLS), &mut told)?;
                status(&mut output, response);
            }
            Input::Reset => match self.play(Step::Reset, &mut told)? {
                Response::Accepted => {}
                other => output["abort"] = json!(other.to_string()),
            },
            Input::Migrate => {
                let from = self.vmm.take().context("the VMM is gone")?;
                self.vmm = Some(from.migrate(self.program)?);
            }
            Input::Cas => match self.vmm()?.qtest()?.ask(&["cas"]) {
                Ok(_) => {}
                Err(QtestError::Refused { .. }) => return Err(End::LeftOut),
                Err(error) => output["abort"] = json!(error.to_string()),
            },
            Input::MigrateToLevel0 | Input::MigrateToLevel1 => return Err(End::LeftOut),
        }
        let listed = match self.vmm()?.execute(LIST, json!({}))? {
            Reply::Done(answer) => Some(answer["requests"].as_array().cloned().unwrap_or_default()),
            Reply::Refused(_) => None,
            Reply::Gone => {
                output["abort"] = json!(true);
                None
            }
        };
        let asked = self.take_events(&mut output, &mut told)?;
        for request in listed.iter().flatten() {
            self.number(&request["request"]);
        }
        if let Some(made) = made {
            output["request"] = self.number(&json!(made));
        }
        let told: Vec<Value> = told.iter().flat_map(|event| self.outcomes(event)).collect();
        let events = [asked, told].concat();
        if !events.is_empty() {
            output["events"] = json!(events);
        }
        if expected.get("open").is_some() {
            output["open"] = match listed {
                Some(requests) => requests.iter().map(|request| self.open(request)).collect(),
                None => expected["open"].clone(),
            };
        }
        Ok(if self.offer.is_none() { unreported(output, expected) } else { output })
    }

    /// Takes a step of the machine, and adds what is told meanwhile.
    fn play(&mut self, step: Step, told: &mut Vec<Event>) -> Result<Response> {
        let vmm = self.vmm()?;
        let response = vmm.play(&step)?.response;
        told.extend(vmm.events().iter().cloned());
        Ok(response)
    }

    /// Takes the events for the guest, and returns what they ask for.
    fn take_events(&mut self, output: &mut Value, told: &mut Vec<Event>) -> Result<Vec<Value>> {
        let mut asked = Vec::new();
        for _ in 0..EVENTS {
            match self.play(Step::TakeEvent, told)? {
                Response::NoEvent => return Ok(asked),
                Response::Event(section) => asked.extend(self.asked(&section)),
                other => {
                    output["abort"] = json!(other.to_string());
                    return Ok(asked);
                }
            }
        }
        bail!("there are more than {EVENTS} events for the guest")
    }

    /// Returns the number of a request in the vectors, which number requests from 1.
    fn number(&mut self, number: &Value) -> Value {
        let Some(number) = number.as_u64() else { return Value::Null };
        let place = self.numbers.iter().position(|one| *one == number).unwrap_or_else(|| {
            self.numbers.push(number);
            self.numbers.len() - 1
        });
        json!(place + 1)
    }

    /// Returns what a hot plug section asks for, which is given from its resource type on; nothing if it is void.
    fn asked(&mut self, section: &[u8]) -> Option<Value> {
        if section.first() == Some(&0) {
            return None;
        }
        let malformed = || Some(json!({ "malformed": format!("{section:02x?}") }));
        let has_token = section.get(3).is_some_and(|capability| capability & 0x80 != 0);
        let (asks, token) = section.split_at_checked(12).unwrap_or((section, &[]));
        let is_for = |(_, device): &&(vectors::Device, Device)| asks == removal(*device, has_token);
        let Some((there, _)) = DEVICES.iter().find(is_for) else { return malformed() };
        let mut event = json!({ "hotplug": conversation::name(*there) });
        match (has_token, token.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)), token.len()) {
            (false, None, 0) => {}
            (true, Some(token @ 1..=0xFFFF), 4) if !self.given.contains(&token) => {
                self.given.push(token);
                event["token"] = json!(self.tokens.name(Token::from_hotplug_token(token)));
            }
            _ => return malformed(),
        }
        Some(event)
    }

    /// Returns the outcomes that an event of QMP tells.
    fn outcomes(&mut self, event: &Event) -> Vec<Value> {
        let is_about_requests = ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_UNPLUG_REQUEST_ENDED", "DEVICE_DELETED"];
        // A core's CPUs are deleted, too. They have no ID.
        let Some(id) = event.device().filter(|_| is_about_requests.contains(&event.name())) else { return Vec::new() };
        let Some(name) = Device::of_id(id).and_then(name_there) else { return vec![json!({ "about": id })] };
        let member = |name: &str| event.data(name).cloned().unwrap_or_default();
        match event.name() {
            "DEVICE_UNPLUG_GUEST_ERROR" => {
                let index = event.data("drc").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
                let source = match member("source").as_str() {
                    Some("reported-by-token") => json!("token"),
                    Some("reported-in-order") => json!("order"),
                    Some("inferred") => json!("inferred"),
                    _ => Value::Null,
                };
                let number = |name: &str| event.data(name).cloned().unwrap_or(json!(0));
                vec![json!({
                    "request": self.number(&member("request")),
                    "refused": index.map_or(json!(name), |index| json!(DrcIndex(index_there(index)).to_string())),
                    "reason": number("reason-code"),
                    "errno": number("errno"),
                    "source": source,
                })]
            }
            "DEVICE_UNPLUG_REQUEST_ENDED" => {
                let outcome = member("outcome");
                vec![json!({
                    "request": self.number(&member("request")),
                    outcome.as_str().unwrap_or_default(): true,
                })]
            }
            _ => {
                let cause = member("cause");
                let cause = cause.as_str().unwrap_or("guest");
                let ended = if cause == "guest" { "released" } else { cause };
                let requests = event.data("requests").and_then(Value::as_array).cloned().unwrap_or_default();
                let ends = |request| json!({ "request": self.number(request), ended: true });
                let mut told: Vec<Value> = requests.iter().map(ends).collect();
                let mut deleted = json!({ "deleted": name });
                if cause != "guest" {
                    deleted["by"] = json!(cause);
                }
                told.push(deleted);
                told
            }
        }
    }

    /// Returns an open request as outputs list it.
    fn open(&mut self, request: &Value) -> Value {
        let how = match (&request["withheld"], &request["promised"]) {
            (Value::Bool(true), _) => "withheld",
            (_, Value::Bool(true)) => "promised",
            _ => "open",
        };
        json!([self.number(&request["request"]), how])
    }
}

/// Adds a status to an output, or that the VMM has ended.
fn status(output: &mut Value, response: Response) {
    match response {
        Response::Status(status) => output["status"] = json!(status),
        other => output["abort"] = json!(other.to_string()),
    }
}

/// Returns the beginning of the hot plug section that asks for a device, from the resource type on: LoPAR, "Hot Plug
/// Section", and "Token" in `spec/protocol.md`.
fn removal(device: Device, has_token: bool) -> [u8; 12] {
    const REMOVE: u8 = 2;
    const BY_INDEX: u8 = 2;
    const BY_COUNT_AND_INDEX: u8 = 4;
    let (resource, id_type) = match device {
        Device::Core => (1, BY_INDEX),
        Device::Dimm2 => (2, BY_COUNT_AND_INDEX),
        _ => (5, BY_INDEX),
    };
    let [first, second] = if device.is_dimm() { [device.count(), device.first()] } else { [device.first(), 0] };
    let mut section = [resource, REMOVE, id_type, if has_token { 0x80 } else { 0 }, 0, 0, 0, 0, 0, 0, 0, 0];
    section[4..8].copy_from_slice(&first.to_be_bytes());
    section[8..].copy_from_slice(&second.to_be_bytes());
    section
}

/// Returns the device that takes the place of one of the vectors.
fn here(device: vectors::Device) -> Result<Device> {
    let pair = DEVICES.into_iter().find(|(there, _)| *there == device);
    pair.map(|(_, here)| here).with_context(|| format!("no device takes the place of {device}"))
}

/// Returns the index that takes the place of one of the vectors. Those of no device stay as they are.
fn index_here(DrcIndex(index): DrcIndex) -> u32 {
    let pair = DEVICES.into_iter().find(|(there, _)| there.has(DrcIndex(index)));
    pair.map_or(index, |(there, here)| here.first() + (index - there.first.0))
}

/// Returns the index of the vectors whose place this one takes.
fn index_there(index: u32) -> u32 {
    let pair = DEVICES.into_iter().find(|(_, here)| here.connectors().any(|one| one == index));
    pair.map_or(index, |(there, here)| there.first.0 + (index - here.first()))
}

fn name_there(device: Device) -> Option<&'static str> {
    DEVICES.into_iter().find(|(_, here)| *here == device).and_then(|(there, _)| conversation::name(there))
}

/// Returns the output of a VMM that takes no reports, and so has no words for more than which device was refused or
/// deleted: the expected one, if they say the same about devices.
fn unreported(output: Value, expected: &Value) -> Value {
    let about_devices = |output: &Value| {
        let mut output = output.clone();
        output.as_object_mut().map(|members| members.remove("request"));
        let events = output["events"].as_array().cloned().unwrap_or_default();
        let about = |event: &Value| {
            let refused = event["refused"].as_str().map(|index| json!({ "refused": device_of(index) }));
            refused.or_else(|| event.get("deleted").map(|name| json!({ "deleted": name }))).or_else(|| {
                let is_end = event.get("released").is_some() || event.get("reset").is_some();
                (!is_end).then(|| event.clone())
            })
        };
        output["events"] = events.iter().filter_map(about).collect();
        output
    };
    if about_devices(&output) == about_devices(expected) { expected.clone() } else { output }
}

/// Returns the name of the device with a connector of the vectors, or the name that stands in its place.
fn device_of(index: &str) -> String {
    let number = index.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let named = number.and_then(|number| DEVICES.into_iter().find(|(there, _)| there.has(DrcIndex(number))));
    named.and_then(|(there, _)| conversation::name(there)).unwrap_or(index).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player(program: &Program) -> Player<'_> {
        Player { vmm: None, program, offer: None, numbers: Vec::new(), tokens: Tokens::default(), given: Vec::new() }
    }

    #[test]
    fn section_is_what_the_protocol_says_or_malformed() {
        let program = Program::new(Path::new("none"), Path::new("none"));
        let mut player = player(&program);
        let dimm = [2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 5];
        assert_eq!(player.asked(&dimm), Some(json!({ "hotplug": "dimm" })));
        let with_token = |token: u32| {
            let mut section = dimm.to_vec();
            section[3] = 0x80;
            [section, token.to_be_bytes().to_vec()].concat()
        };
        assert_eq!(player.asked(&with_token(7)), Some(json!({ "hotplug": "dimm", "token": "T1" })));
        assert_eq!(player.asked(&with_token(8)), Some(json!({ "hotplug": "dimm", "token": "T2" })));
        assert_eq!(player.asked(&[0; 12]), None);
        let add = [2, 1, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 5];
        let by_second_lmb = [2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 6];
        let function_with_more = [5, 2, 2, 0, 0x40, 0, 0, 0x20, 0, 0, 0, 1];
        let token_without_a_bit = [&dimm[..], &[0, 0, 0, 9]].concat();
        let wrong: [&[u8]; 9] = [
            &add,
            &by_second_lmb,
            &function_with_more,
            &token_without_a_bit,
            &with_token(7),
            &with_token(0),
            &with_token(0x1_0000),
            &with_token(9)[..14],
            &dimm[..5],
        ];
        for section in wrong {
            assert!(player.asked(section).unwrap().get("malformed").is_some(), "{section:x?}");
        }
    }

    #[test]
    fn step_about_several_clauses_blames_those_that_hold_nowhere() {
        let verdict = Verdict::Fail { scenario: "a".to_owned(), because: "b".to_owned() };
        let broken =
            |clauses: [&str; 2]| Broken { clauses: clauses.map(str::to_owned).to_vec(), verdict: verdict.clone() };
        let mut seen = Seen::default();
        Shown { held: BTreeSet::from(["one".to_owned()]), broken: vec![broken(["one", "two"])] }.judge(&mut seen);
        assert_eq!(seen.broken(), ["two"]);
        let held = BTreeSet::from(["one", "two"].map(str::to_owned));
        Shown { held, broken: vec![broken(["one", "two"])] }.judge(&mut seen);
        assert_eq!(seen.broken(), ["one", "two"]);
    }

    #[test]
    fn refusal_of_another_device_is_not_what_was_expected() {
        let expected = json!({ "request": 1, "events": [{ "request": 1, "refused": "0x80000008", "reason": 0 }] });
        let refused = |name: &str| json!({ "request": null, "events": [{ "request": null, "refused": name }] });
        assert_eq!(unreported(refused("dimm"), &expected), expected);
        assert_ne!(unreported(refused("cpu"), &expected), expected);
    }
}
