// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversations of `spec/vectors`, run against any [`Vmm`]; `spec/vectors/README.md` explains them.

use crate::{
    machine::{CPU, DIMM, Device, FUNCTION0, FUNCTION1, UNPLUG_STATUS},
    vmm::{Effects, Event, Input, Open, Outcome, Source, Taker, Vmm},
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

/// The inputs of a VMM, step by step, and the outputs that they must have.
#[derive(Clone, Debug, Deserialize)]
pub struct Conversation {
    /// A sentence that says what the conversation shows.
    pub name: String,
    /// The clauses for which it is evidence.
    pub clauses: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Step of a conversation.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "StepFields")]
pub struct Step {
    /// The input.
    pub input: Value,
    /// The output.
    pub output: Value,
    /// The clauses of the conversation that the output shows.
    pub clauses: Vec<String>,
}

/// Step as vectors have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum StepFields {
    Plain((Value, Value)),
    Showing((Value, Value, Vec<String>)),
}

impl From<StepFields> for Step {
    fn from(fields: StepFields) -> Self {
        let (input, output, clauses) = match fields {
            StepFields::Plain((input, output)) => (input, output, Vec::new()),
            StepFields::Showing(fields) => fields,
        };
        Self { input, output, clauses }
    }
}

/// The tokens that the VMM gave, in order.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Token>);

impl Conversation {
    /// Runs the conversation against a VMM in its first state; `Err` names the first step with another output.
    pub fn run<V: Vmm>(&self, mut vmm: V) -> Result<(), String> {
        let mut tokens = Tokens::default();
        for (place, step) in self.steps.iter().enumerate() {
            let input = step.read(&tokens).ok_or_else(|| format!("{}\n  is no input", self.at(place)))?;
            let effects = vmm.step(input);
            let came_out = output(effects, &vmm, step.output.get("open").is_some(), &mut tokens);
            if came_out != step.output {
                return Err(format!("{}, {}", self.name, self.differs(place, &came_out)));
            }
        }
        Ok(())
    }

    /// Says that a step has another output than it has to have.
    pub fn differs(&self, place: usize, came_out: &Value) -> String {
        format!("{}\n  has to give {}\n  but gave    {came_out}", self.at(place), self.steps[place].output)
    }

    fn at(&self, place: usize) -> String {
        format!("step {}: {}", place + 1, self.steps[place].input)
    }
}

impl Step {
    /// Reads the input; `None` if it is none.
    pub fn read(&self, tokens: &Tokens) -> Option<Input> {
        input(&self.input, tokens)
    }
}

impl Tokens {
    /// Takes a token that the VMM gives, and returns its name in outputs.
    pub fn name(&mut self, token: Token) -> String {
        self.0.push(token);
        format!("T{}", self.0.len())
    }

    fn read(&self, value: &Value) -> Option<Token> {
        match value.as_str().and_then(|name| name.strip_prefix('T')) {
            Some(place) => self.0.get(place.parse::<usize>().ok()?.checked_sub(1)?).copied(),
            None => Some(Token(u16::try_from(number(value)?).ok()?)),
        }
    }
}

/// Reads a number, in hexadecimal if it is text; a missing one is 0.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Null => Some(0),
        Value::String(hex) => u32::from_str_radix(hex.strip_prefix("0x")?, 16).ok(),
        _ => u32::try_from(value.as_u64()?).ok(),
    }
}

fn byte(value: &Value) -> Option<u8> {
    u8::try_from(number(value)?).ok()
}

fn report(step: &Value, tokens: &Tokens) -> Option<Report> {
    let token = tokens.read(&step["token"])?;
    Some(match step["report"].as_str()? {
        "ARM" => {
            let classes = Classes(u16::try_from(number(&step["classes"])?).ok()?);
            Report::Arm { classes, features: Features(byte(&step["features"])?) }
        }
        "DISARM" => Report::Disarm,
        "STARTED" => Report::Started { token },
        "REFUSED" => {
            let reason = Reason(byte(&step["reason"])?);
            Report::Refused { token, reason, errno: Errno(byte(&step["errno"])?) }
        }
        "DONE" => Report::Done { token },
        _ => return None,
    })
}

fn input(step: &Value, tokens: &Tokens) -> Option<Input> {
    if step.get("report").is_some() {
        let word = report(step, tokens)?.word();
        return Some(Input::SetIndicator(UNPLUG_STATUS, DrcIndex(number(&step["index"])?), word.0));
    }
    let (verb, argument) = step.as_object()?.iter().next()?;
    Some(match (verb.as_str(), argument.as_str()) {
        ("device_del", Some("function1")) => Input::Withhold(FUNCTION1),
        ("device_del", Some("function0")) => Input::Together([FUNCTION1, FUNCTION0]),
        ("device_del", Some(name)) => Input::DeviceDel(device(name)?),
        ("withdraw", None) => Input::Withdraw(number(argument)?.into()),
        ("set_indicator", None) => {
            let [indicator, index, value] = [0, 1, 2].map(|place: usize| number(&argument[place]));
            Input::SetIndicator(Indicator(indicator?), DrcIndex(index?), value?)
        }
        ("configure_connector", Some(_)) => Input::Configure(DrcIndex(number(argument)?)),
        ("reset", None) => Input::Reset,
        ("cas", None) => Input::Cas,
        ("migrate", Some("same")) => Input::Migrate,
        ("migrate", Some("level 0")) => Input::MigrateToLevel0,
        ("migrate", Some("level 1")) => Input::MigrateToLevel1,
        _ => return None,
    })
}

fn output<V: Vmm>(effects: Effects, vmm: &V, lists_open: bool, tokens: &mut Tokens) -> Value {
    let mut output = json!({});
    if let Some(status) = effects.status {
        output["status"] = json!(status.0);
    }
    match effects.asked {
        Some(Ok(id)) => output["request"] = json!(id),
        Some(Err(_)) => output["error"] = json!(true),
        None => {}
    }
    if let Some(site) = effects.abort {
        output["abort"] = json!(site);
    }
    if !effects.events.is_empty() {
        output["events"] = effects.events.into_iter().map(|told| event(told, tokens)).collect();
    }
    if lists_open {
        let how = |open: &Open| match open {
            Open { withheld: true, .. } => "withheld",
            Open { promised: true, .. } => "promised",
            _ => "open",
        };
        output["open"] = vmm.open().iter().map(|open| json!([open.request, how(open)])).collect();
    }
    output
}

const NAMES: [(&str, Device); 4] = [("cpu", CPU), ("dimm", DIMM), ("function0", FUNCTION0), ("function1", FUNCTION1)];

/// Returns the device with this name in vectors.
pub fn device(name: &str) -> Option<Device> {
    NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, device)| device)
}

/// Returns the name of a device in vectors.
pub fn name(device: Device) -> Option<&'static str> {
    NAMES.into_iter().find(|(_, known)| *known == device).map(|(name, _)| name)
}

fn event(event: Event, tokens: &mut Tokens) -> Value {
    let (request, outcome) = match event {
        Event::Hotplug(_, device, Token::NONE) => return json!({"hotplug": name(device)}),
        Event::Hotplug(_, device, token) => return json!({"hotplug": name(device), "token": tokens.name(token)}),
        Event::Deleted(device, Taker::Guest, _) => return json!({"deleted": name(device)}),
        Event::Deleted(device, Taker::Reset, _) => return json!({"deleted": name(device), "by": "reset"}),
        Event::Deleted(device, Taker::Cas, _) => return json!({"deleted": name(device), "by": "cas"}),
        Event::Outcome(request, _, outcome) => (request, outcome),
    };
    match outcome {
        Outcome::Released => json!({"request": request, "released": true}),
        Outcome::Reset => json!({"request": request, "reset": true}),
        Outcome::Cas => json!({"request": request, "cas": true}),
        Outcome::Removed => json!({"request": request, "removed": true}),
        Outcome::Withdrawn => json!({"request": request, "withdrawn": true}),
        Outcome::Load => json!({"request": request, "load": true}),
        Outcome::Refused { connector, reason, errno, source } => json!({
            "request": request,
            "refused": connector.to_string(),
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
