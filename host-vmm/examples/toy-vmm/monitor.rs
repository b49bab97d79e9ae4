// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU Machine Protocol (QMP): commands of the user, and what the user is told.

use crate::{
    device_tree,
    machine::{Machine, PLACES, Place},
};
use papr_unplug::{
    Request,
    event::{Cause, Device, End, Event, Outcome, Refusal, RequestId, Requested},
    explanation::Persistence,
    wire::{hotplug::Resource, offer::Classes},
};
use serde_json::{Map, Value, json};
use std::{fs, mem, time};

/// The user's side of the machine.
#[derive(Default)]
pub(crate) struct Monitor {
    /// Requests that have ended with a device whose deletion is told next.
    gone: Vec<u64>,
}

/// Class and text of an error.
struct Failure(&'static str, String);

impl<E: ToString> From<E> for Failure {
    fn from(error: E) -> Self {
        Self("GenericError", error.to_string())
    }
}

impl Monitor {
    pub(crate) fn greeting() -> Value {
        json!({ "QMP": { "version": { "package": "papr-unplug toy VMM" }, "capabilities": [] } })
    }

    /// Executes a command. Returns the answer, and the event of a reset.
    pub(crate) fn answer(&self, machine: &mut Machine, line: &str) -> Vec<Value> {
        let command: Value = serde_json::from_str(line).unwrap_or_default();
        let name = command.get("execute").and_then(Value::as_str).unwrap_or_default();
        let (member, value) = match execute(machine, name, command.get("arguments").unwrap_or(&Value::Null)) {
            Ok(value) => ("return", value),
            Err(Failure(class, text)) => ("error", json!({ "class": class, "desc": text })),
        };
        let id = command.get("id").map(|id| ("id".to_owned(), id.clone()));
        let answer: Map<_, _> = [(member.to_owned(), value)].into_iter().chain(id).collect();
        let reset = (name == "system_reset").then(|| event("RESET", json!({ "guest": false })));
        [answer.into()].into_iter().chain(reset).collect()
    }

    /// Returns what the user is told of an event.
    pub(crate) fn tell(&mut self, told: &Event) -> Option<Value> {
        match told {
            Event::Ended(Outcome { request: RequestId(request), device, end, .. }) => match end {
                End::Refused(refusal) => {
                    let data = about(*device, &[json!({ "request": request }), details(refusal)]);
                    Some(event("DEVICE_UNPLUG_GUEST_ERROR", data))
                }
                End::Withdrawn | End::Load => {
                    let data = about(*device, &[json!({ "request": request, "outcome": name(end) })]);
                    Some(event("DEVICE_UNPLUG_REQUEST_ENDED", data))
                }
                _ => {
                    self.gone.push(*request);
                    None
                }
            },
            Event::Deleted(deletion) => {
                let cause = match deletion.by {
                    Cause::Reset => "reset",
                    Cause::Cas => "cas",
                    _ => "guest",
                };
                let more = json!({ "requests": mem::take(&mut self.gone), "cause": cause });
                Some(event("DEVICE_DELETED", about(deletion.device, &[more])))
            }
            _ => None,
        }
    }
}

fn execute(machine: &mut Machine, command: &str, arguments: &Value) -> Result<Value, Failure> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).ok_or(format!("Parameter '{name}' is missing"));
    let file = || Ok::<_, Failure>(text("uri")?.strip_prefix("file:").ok_or("a machine migrates by way of a file")?);
    match command {
        "qmp_capabilities" => {}
        "device_add" => machine.add(place(text("id")?)?)?,
        "device_del" => match machine.remove(place(text("id")?)?)? {
            Requested::Withheld(id) => return Ok(json!({ "request": id.0, "withheld": true })),
            requested => return Ok(json!({ "request": requested.id().0 })),
        },
        "device-unplug-withdraw" => {
            let request = arguments.get("request").and_then(Value::as_u64).ok_or("Parameter 'request' is missing")?;
            machine.tracker.withdraw(RequestId(request), &mut machine.events)?;
        }
        "query-device-unplug-requests" => {
            let tracker = &machine.tracker;
            return Ok(json!({
                "offered": tracker.offered().map_or_else(Vec::new, |offer| classes(offer.classes())),
                "armed": classes(tracker.armed().0),
                "requests": tracker.requests().iter().map(open).collect::<Vec<_>>(),
                "outcomes": tracker.outcomes().map(ended).collect::<Vec<_>>(),
            }));
        }
        "system_reset" => machine.reset(),
        "dumpdtb" => fs::write(text("filename")?, device_tree::flattened(machine.tracker.offered()))?,
        "migrate" => fs::write(file()?, machine.save()?)?,
        "migrate-incoming" => machine.load(&fs::read(file()?)?)?,
        // A migration has ended when its command is answered.
        "query-migrate" => return Ok(json!({ "status": "completed" })),
        _ => return Err(Failure("CommandNotFound", format!("The command {command} has not been found"))),
    }
    Ok(json!({}))
}

fn place(id: &str) -> Result<&'static Place, Failure> {
    PLACES.iter().find(|place| place.id == id).ok_or(Failure("DeviceNotFound", format!("Device '{id}' not found")))
}

fn event(name: &str, data: Value) -> Value {
    let now = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
    let timestamp = json!({ "seconds": now.as_secs(), "microseconds": now.subsec_micros() });
    json!({ "event": name, "data": data, "timestamp": timestamp })
}

/// Returns the members that name a device, and more. A member without a value is left out.
fn about(device: Device, more: &[Value]) -> Value {
    let id = PLACES.iter().find(|place| place.first == device.connectors.first()).map_or("", |place| place.id);
    let named = json!({ "device": id, "path": format!("/{id}") });
    let members = [&named].into_iter().chain(more).filter_map(Value::as_object).flatten();
    let members = members.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone()));
    members.collect::<Map<_, _>>().into()
}

fn name(end: &End) -> &'static str {
    match end {
        End::Released => "released",
        End::Refused(_) => "refused",
        End::Reset => "reset",
        End::Cas => "cas",
        End::Withdrawn => "withdrawn",
        End::Load => "load",
        _ => "removed",
    }
}

/// Returns the members that say why a request was refused (PUE-V-100).
fn details(refusal: &Refusal) -> Value {
    let persistence = match refusal.explanation().map(|explanation| explanation.persistence) {
        Some(Persistence::Transient) => "transient",
        Some(Persistence::NeedsAction) => "needs-action",
        Some(Persistence::Permanent) => "permanent",
        _ => "unknown",
    };
    json!({
        "source": refusal.evidence.name(),
        "reason": refusal.reason.name(),
        "reason-code": refusal.reason.0,
        "persistence": persistence,
        "errno": (refusal.errno.0 > 0).then_some(refusal.errno.0),
        "drc": refusal.connector.0,
    })
}

fn ended(outcome: &Outcome) -> Value {
    let Outcome { request, device, end, .. } = outcome;
    let how = json!({ "request": request.0, "class": device.resource.to_string(), "outcome": name(end) });
    let why = if let End::Refused(refusal) = end { details(refusal) } else { Value::Null };
    about(*device, &[how, why])
}

fn open(request: &Request) -> Value {
    let Request { id, device, promised, started, withheld, hint, .. } = request;
    let members = json!({
        "request": id.0,
        "class": device.resource.to_string(),
        "promised": promised,
        "started": started,
        "withheld": withheld,
        "hint": hint.is_some(),
    });
    about(*device, &[members])
}

fn classes(set: Classes) -> Vec<String> {
    let resources = (1..=6).map(Resource).filter(|resource| set.contains(Classes::of(*resource)));
    resources.map(|resource| resource.to_string()).collect()
}
