// SPDX-License-Identifier: MIT OR Apache-2.0

//! Outcome of a removal: as one line, as text, and as JSON.

use crate::{
    escape::{escaped, escaped_json},
    exit_status::ExitStatus,
    history::History,
    outcome_kind::OutcomeKind,
    reason::{self, Persistence, Reason},
    schema::{DELETED, ENDED, EventData, REFUSED, Source},
};
use papr_unplug_qmp::message::Event;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    fmt, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Outcome of a removal.
#[derive(Clone, Debug)]
pub struct Outcome {
    kind: OutcomeKind,
    data: EventData,
    /// The event, unless the outcome is from the VM's list of past outcomes.
    event: Option<Event>,
    charge: Option<Charge>,
}

/// Inferred refusal that QEMU charged to an earlier request for the device, where the guest may have meant this one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Charge {
    /// The request in the event.
    pub charged_to: u64,
    /// The program's own request, if QEMU says which one that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_request: Option<u64>,
    /// True if the program has withdrawn its own request.
    pub withdrawn: bool,
}

/// JSON object of an outcome.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct JsonOutcome<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    outcome: OutcomeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<&'a [u64]>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    charge: Option<&'a Charge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drc: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence: Option<Persistence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Map<String, Value>>,
}

impl Outcome {
    /// Returns the outcome in an event, if there is one. What took a deleted device is inferred from `history` only
    /// where the VM does not say it.
    pub fn of(event: Event, history: &History) -> Option<Self> {
        let data = EventData::of(event.object().get("data"));
        let kind = match event.name() {
            REFUSED => OutcomeKind::Refused,
            ENDED => data.outcome.as_deref().map_or(OutcomeKind::Ended, OutcomeKind::named),
            DELETED if data.is_whole_device() => match data.cause.as_deref() {
                None => history.deletion(),
                Some("guest") => OutcomeKind::Released,
                Some("reset") => OutcomeKind::ClosedByReset,
                Some("cas") => OutcomeKind::ClosedByCas,
                Some("vmm") => OutcomeKind::Removed,
                Some(_) => OutcomeKind::Deleted,
            },
            _ => return None,
        };
        Some(Self { kind, data, event: Some(event), charge: None })
    }

    /// Returns the outcome in an entry of the VM's list of past outcomes.
    pub fn listed(entry: &Value) -> Self {
        let data = EventData::of(Some(entry));
        let kind = data.outcome.as_deref().map_or(OutcomeKind::Ended, OutcomeKind::named);
        Self { kind, data, event: None, charge: None }
    }

    /// Returns the kind.
    pub fn kind(&self) -> OutcomeKind {
        self.kind
    }

    /// Returns the members of the event.
    pub fn data(&self) -> &EventData {
        &self.data
    }

    /// Marks the outcome as charged to another request than the program's own.
    pub fn charged(self, charge: Charge) -> Self {
        Self { charge: Some(charge), ..self }
    }

    /// Returns the request that QEMU charges an inferred refusal to.
    pub fn inferred(&self) -> Option<u64> {
        self.data.request.filter(|_| self.kind == OutcomeKind::Refused && self.data.source == Some(Source::Inferred))
    }

    /// Returns the exit status.
    pub fn exit_status(&self) -> ExitStatus {
        match self.kind {
            OutcomeKind::Released => ExitStatus::Done,
            OutcomeKind::Refused => ExitStatus::Refused,
            OutcomeKind::ClosedByReset | OutcomeKind::ClosedByCas => ExitStatus::ClosedByReset,
            OutcomeKind::Deleted | OutcomeKind::Removed => ExitStatus::Deleted,
            OutcomeKind::ClosedByLoad | OutcomeKind::Withdrawn | OutcomeKind::Ended => ExitStatus::Ended,
        }
    }

    /// Formats one line: time, device, outcome, and what is known of the reason.
    pub fn line(&self) -> String {
        let time = humantime::format_rfc3339_micros(self.time());
        let numbers: Vec<String> = self.data.ended().map(|request| request.to_string()).collect();
        let numbered = match &numbers[..] {
            [] => String::new(),
            [number] => format!(" request {number}"),
            numbers => format!(" requests {}", numbers.join(", ")),
        };
        format!("{time} {}{numbered} {}", self.data.name(), self.summary())
    }

    /// Formats an outcome of the past: request, device if it is known, and outcome.
    pub fn entry(&self) -> String {
        let request = self.data.request.map_or("?".to_owned(), |request| request.to_string());
        let device = self.data.device.as_deref().or(self.data.path.as_deref());
        let device = device.map(|device| format!(" {}", escaped(device))).unwrap_or_default();
        format!("request {request}{device} {}", self.summary())
    }

    /// Formats the outcome with its meaning and what can be done.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.data.name(), self.summary());
        let mut add = |title: &str, content: &str| text += &format!("  {title}: {content}\n");
        match (self.kind, self.reason()) {
            (OutcomeKind::Refused, Some(reason)) => {
                add("meaning", &reason.meaning);
                add("what to do", &reason.advice);
            }
            (OutcomeKind::Refused, None) => add("what to do", "look at the guest's kernel log"),
            (kind, _) => kind.meaning().into_iter().for_each(|meaning| add("meaning", meaning)),
        }
        if let Some(charge) = &self.charge {
            add("which request", &charge.to_string());
        }
        text
    }

    /// Formats the outcome as JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        let EventData { device, path, request, requests, source, errno, drc, address, .. } = &self.data;
        let reason = self.reason();
        let object = serde_json::to_string(&JsonOutcome {
            time: self.event.as_ref().map(|_| humantime::format_rfc3339_micros(self.time()).to_string()),
            outcome: self.kind,
            device: device.as_deref(),
            path: path.as_deref(),
            request: *request,
            requests: requests.as_deref(),
            charge: self.charge.as_ref(),
            source: *source,
            reason: self.data.reason.as_deref().or(reason.map(|reason| reason.name.as_str())),
            reason_code: self.data.reason_code.or(reason.map(|reason| reason.code)),
            errno: *errno,
            drc: *drc,
            address: *address,
            meaning: reason.map(|reason| reason.meaning.as_str()).or(self.kind.meaning()),
            advice: reason.map(|reason| reason.advice.as_str()),
            persistence: reason.map(|reason| reason.persistence),
            event: self.event.as_ref().map(Event::object),
        })?;
        Ok(escaped_json(&object))
    }

    fn summary(&self) -> String {
        match self.kind {
            OutcomeKind::Released => "released".to_owned(),
            OutcomeKind::Deleted => "deleted".to_owned(),
            OutcomeKind::Removed => "removed by the VM".to_owned(),
            OutcomeKind::ClosedByReset => "closed by reset".to_owned(),
            OutcomeKind::ClosedByCas => "closed by CAS".to_owned(),
            OutcomeKind::ClosedByLoad => "closed by the load of a snapshot".to_owned(),
            OutcomeKind::Withdrawn => "withdrawn".to_owned(),
            OutcomeKind::Ended => {
                format!("ended: {}", escaped(self.data.outcome.as_deref().unwrap_or("this VM does not say how")))
            }
            OutcomeKind::Refused => format!("refused{}", self.data.why()),
        }
    }

    /// Looks up the reason by name, then by code.
    fn reason(&self) -> Option<&'static Reason> {
        let by_name = self.data.reason.as_deref().and_then(reason::find);
        by_name.or_else(|| reason::find(&self.data.reason_code?.to_string()))
    }

    /// Returns the time of the event, or the current time if the event has none that can be printed.
    fn time(&self) -> SystemTime {
        let part = |name| self.event.as_ref()?.object().get("timestamp")?.get(name)?.as_u64();
        let time = part("seconds").zip(part("microseconds")).map(|(seconds, microseconds)| {
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds).saturating_add(Duration::from_micros(microseconds)))
        });
        // humantime formats years up to 9999.
        let sane = |time: &SystemTime| *time < UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        time.flatten().filter(sane).unwrap_or_else(SystemTime::now)
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.own_request.map_or("the one".to_owned(), |number| format!("request {number},"));
        let state = if self.withdrawn { "now withdrawn" } else { "still pending" };
        write!(
            f,
            "the VM charges this to request {}, an earlier one; the guest may have meant {own} which was made here and is \
             {state}",
            self.charged_to
        )
    }
}

impl EventData {
    /// Returns the device's id, or else its path, or else the number of the request.
    fn name(&self) -> String {
        match (self.device.as_deref().or(self.path.as_deref()), self.request) {
            (Some(name), _) => escaped(name),
            (None, Some(request)) => format!("request {request}"),
            (None, None) => "a device without a name".to_owned(),
        }
    }

    /// Returns whether the object is a device that was added: QEMU also sends the event for parts of a device.
    pub fn is_whole_device(&self) -> bool {
        let added = |path: &str| {
            let parents = ["/machine/peripheral/", "/machine/peripheral-anon/"];
            parents.iter().find_map(|parent| path.strip_prefix(parent)).is_some_and(|name| !name.contains('/'))
        };
        // Only outcomes that a VM lists have the number of one request.
        self.device.is_some() || self.request.is_some() || self.path.as_deref().is_some_and(added)
    }

    /// Formats reason, errno, connector, address and source, as far as the event has them.
    fn why(&self) -> String {
        let code = self.reason_code.map(|code| code.to_string());
        let known = code.as_deref().and_then(reason::find).map(|reason| reason.name.as_str());
        let mut why = match (self.reason.as_deref().or(known), code) {
            (Some(name), _) => format!(": {}", escaped(name)),
            (None, Some(code)) => format!(": reason {code}, which is newer than this program"),
            (None, None) => "; this VM gives no reason".to_owned(),
        };
        let mut add = |detail: String| why += &format!(", {detail}");
        if let Some(errno) = self.errno {
            add(match self.reason_code {
                Some(AGENT_FAILED) => ending(errno),
                _ => format!("errno {errno}{}", meaning_of(errno)),
            });
        }
        if let Some(drc) = self.drc {
            add(format!("DRC {drc:#x}"));
        }
        if let Some(address) = self.address {
            add(format!("guest address {address:#x}"));
        }
        match self.source {
            Some(Source::ReportedByToken) => add("reported".to_owned()),
            Some(Source::ReportedInOrder) => add("reported, charged to the oldest request".to_owned()),
            Some(Source::Inferred) => add("inferred".to_owned()),
            None => {}
        }
        why
    }
}

/// Code of the reason whose errno is an exit status.
const AGENT_FAILED: u64 = 28;

/// Returns how a program ended: by a signal, if the status is above 128.
fn ending(status: i32) -> String {
    match status {
        129..255 => format!("exit status {status} (signal {})", status - 128),
        _ => format!("exit status {status}"),
    }
}

/// Returns Linux's text for an error number, in brackets.
fn meaning_of(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.strip_suffix(&format!(" (os error {errno})")).map(|text| format!(" ({text})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use papr_unplug_qmp::message::Message;
    use proptest::prelude::*;
    use serde_json::json;

    fn outcome(kind: OutcomeKind, data: Value) -> Outcome {
        let event = json!({ "event": "X", "data": data, "timestamp": { "seconds": 1, "microseconds": 2 } });
        let Ok(Message::Event(event)) = Message::parse(&event.to_string()) else { panic!() };
        Outcome { kind, data: EventData::of(event.object().get("data")), event: Some(event), charge: None }
    }

    #[test]
    fn refusal_of_an_agent_that_failed_has_an_exit_status() {
        let line = |status| {
            let told = json!({ "device": "net0", "reason-code": 28, "reason": "agent-failed", "errno": status });
            outcome(OutcomeKind::Refused, told).line().split_once("refused: ").unwrap().1.to_owned()
        };
        assert_eq!(line(255), "agent-failed, exit status 255");
        assert_eq!(line(137), "agent-failed, exit status 137 (signal 9)");
    }

    #[test]
    fn refusal_is_formatted_with_all_members() {
        let told = json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": 7, "reason-code": 6,
            "reason": "unmovable-page", "errno": 16, "drc": 0x8000_0009u32, "address": 0x9000_0000u32,
            "source": "reported-by-token" });
        assert_eq!(
            outcome(OutcomeKind::Refused, told).line(),
            "1970-01-01T00:00:01.000002Z dimm1 request 7 refused: unmovable-page, errno 16 (Device or resource busy), \
             DRC 0x80000009, guest address 0x90000000, reported"
        );
    }

    #[test]
    fn reason_is_found_by_its_code_and_an_unknown_code_is_shown() {
        let summary =
            |code: u64| outcome(OutcomeKind::Refused, json!({ "device": "d", "reason-code": code })).summary();
        assert_eq!(summary(1), "refused: last-cpu");
        assert_eq!(summary(200), "refused: reason 200, which is newer than this program");
    }

    #[test]
    fn control_characters_in_names_are_escaped() {
        let told = json!({ "device": "\u{1b}[2J", "reason": "\u{7}" });
        assert_eq!(outcome(OutcomeKind::Refused, told).text().matches(char::is_control).collect::<String>(), "\n\n");
    }

    /// Generates JSON values of any type.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
    }

    proptest! {
        #[test]
        fn event_with_any_data_is_formatted_as_one_line(
            kind in prop::sample::select(vec![OutcomeKind::Released, OutcomeKind::Refused, OutcomeKind::ClosedByReset, OutcomeKind::Ended]),
            values in prop::collection::vec(anything(), 14),
        ) {
            const MEMBERS: [&str; 14] = ["device", "path", "request", "source", "reason-code", "reason", "errno", "drc",
                "address", "seconds", "microseconds", "requests", "cause", "outcome"];
            let members: Map<String, Value> = MEMBERS.map(str::to_owned).into_iter().zip(values).collect();
            let event = json!({ "event": "X", "data": members, "timestamp": members });
            let Ok(Message::Event(event)) = Message::parse(&event.to_string()) else { panic!() };
            let data = EventData::of(event.object().get("data"));
            let outcome = Outcome { kind, data, event: Some(event), charge: None };
            let line = outcome.line();
            prop_assert_eq!(escaped(&line), line);
            let object: Value = serde_json::from_str(&outcome.json().unwrap()).unwrap();
            prop_assert_eq!(object["event"].as_object(), outcome.event.as_ref().map(Event::object));
        }
    }

    #[test]
    fn json_keeps_the_whole_event() {
        let told = json!({ "device": "d", "reason": "last-cpu", "__com.example_new": [1] });
        let object: Value = serde_json::from_str(&outcome(OutcomeKind::Refused, told.clone()).json().unwrap()).unwrap();
        assert_eq!(object["event"]["data"], told);
        assert_eq!(object["reason-code"], 1);
        assert_eq!(object["outcome"], "refused");
    }

    #[test]
    fn parts_of_a_device_are_not_whole_devices() {
        let is_whole = |path: &str| EventData { path: Some(path.to_owned()), ..EventData::default() }.is_whole_device();
        assert!(is_whole("/machine/peripheral-anon/device[3]"));
        assert!(!is_whole("/machine/peripheral/nic/virtio-backend"));
    }

    #[test]
    fn time_out_of_range_is_replaced() {
        let event = r#"{"event":"X","timestamp":{"seconds":18446744073709551615,"microseconds":18446744073709551615}}"#;
        let Ok(Message::Event(event)) = Message::parse(event) else { panic!() };
        let outcome =
            Outcome { kind: OutcomeKind::Released, data: EventData::default(), event: Some(event), charge: None };
        assert!(outcome.line().starts_with("20"), "{}", outcome.line());
    }
}
