// SPDX-License-Identifier: MIT OR Apache-2.0

//! Outcome of a removal: as one line, as text, and as JSON.

use crate::{
    escape::escaped,
    exit_status::ExitStatus,
    monitor::{Monitor, Stop},
    reason::{self, Reason},
    schema::{DELETED, EventData, REFUSED, Source},
};
use papr_unplug_qmp::message::Event;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Outcome of a removal.
#[derive(Clone, Debug)]
pub struct Outcome {
    kind: Kind,
    data: EventData,
    event: Event,
}

/// Kind of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The guest gave the device back.
    Released,
    /// The guest refused.
    Refused,
    /// A reset removed the device before the guest had answered.
    ClosedByReset,
}

/// JSON object of an outcome.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Object<'a> {
    time: String,
    outcome: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
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
    event: &'a Map<String, Value>,
}

impl Outcome {
    /// Returns the outcome in an event, if there is one.
    pub fn read(event: Event, monitor: &mut Monitor) -> Result<Option<Self>, Stop> {
        let data = EventData::of(event.object().get("data"));
        let kind = match event.name() {
            REFUSED => Kind::Refused,
            DELETED if !data.is_whole_device() => return Ok(None),
            DELETED => match monitor.was_reset() {
                Ok(true) => Kind::ClosedByReset,
                // An event that was received before the connection was lost is still true.
                Ok(false) | Err(Stop::Lost(_)) => Kind::Released,
                Err(stop) => return Err(stop),
            },
            _ => return Ok(None),
        };
        Ok(Some(Self { kind, data, event }))
    }

    /// Returns whether this ends a request for the device that was made after request `earlier`.
    pub fn answers(&self, device: &str, earlier: Option<u64>) -> bool {
        // A deletion ends all requests for the device. Stock QEMU sends no numbers.
        let is_later = self.data.request.is_none_or(|request| Some(request) > earlier);
        self.data.is_about(device) && is_later
    }

    /// Returns the exit status.
    pub fn exit_status(&self) -> ExitStatus {
        match self.kind {
            Kind::Released => ExitStatus::Done,
            Kind::Refused => ExitStatus::Refused,
            Kind::ClosedByReset => ExitStatus::ClosedByReset,
        }
    }

    /// Formats one line: time, device, outcome, and what is known of the reason.
    pub fn line(&self) -> String {
        let time = humantime::format_rfc3339_micros(self.time());
        let numbered = self.data.request.map(|request| format!(" request {request}")).unwrap_or_default();
        format!("{time} {}{numbered} {}", self.data.name(), self.summary())
    }

    /// Formats the outcome with its meaning and what can be done.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.data.name(), self.summary());
        let mut add = |title: &str, content: &str| text += &format!("  {title}: {content}\n");
        match (self.kind, self.reason()) {
            (Kind::Refused, Some(reason)) => {
                add("meaning", &reason.meaning);
                add("what to do", &reason.advice);
            }
            (Kind::Refused, None) => add("what to do", "look at the guest's kernel log"),
            (Kind::ClosedByReset, _) => {
                add("meaning", "the machine was reset before the guest had given the device back")
            }
            (Kind::Released, _) => {}
        }
        text
    }

    /// Formats the outcome as JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        let EventData { device, path, request, source, errno, drc, address, .. } = &self.data;
        let reason = self.reason();
        serde_json::to_string(&Object {
            time: humantime::format_rfc3339_micros(self.time()).to_string(),
            outcome: self.kind,
            device: device.as_deref(),
            path: path.as_deref(),
            request: *request,
            source: *source,
            reason: self.data.reason.as_deref().or(reason.map(|reason| reason.name.as_str())),
            reason_code: self.data.reason_code.or(reason.map(|reason| reason.code)),
            errno: *errno,
            drc: *drc,
            address: *address,
            meaning: reason.map(|reason| reason.meaning.as_str()),
            advice: reason.map(|reason| reason.advice.as_str()),
            event: self.event.object(),
        })
    }

    fn summary(&self) -> String {
        match self.kind {
            Kind::Released => "released".to_owned(),
            Kind::ClosedByReset => "closed by reset".to_owned(),
            Kind::Refused => format!("refused{}", self.data.why()),
        }
    }

    /// Looks up the reason by name, then by code.
    fn reason(&self) -> Option<&'static Reason> {
        let by_name = self.data.reason.as_deref().and_then(reason::find);
        by_name.or_else(|| reason::find(&self.data.reason_code?.to_string()))
    }

    /// Returns the time of the event, or the current time if the event has none that can be printed.
    fn time(&self) -> SystemTime {
        let part = |name| self.event.object().get("timestamp")?.get(name)?.as_u64();
        let time = part("seconds").zip(part("microseconds")).map(|(seconds, microseconds)| {
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds).saturating_add(Duration::from_micros(microseconds)))
        });
        // humantime formats years up to 9999.
        let sane = |time: &SystemTime| *time < UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        time.flatten().filter(sane).unwrap_or_else(SystemTime::now)
    }
}

impl EventData {
    /// Returns the device's id, or else its path.
    fn name(&self) -> String {
        let name = self.device.as_deref().or(self.path.as_deref()).unwrap_or("a device without a name");
        escaped(name)
    }

    /// Returns whether the object is a device that was added: QEMU also sends the event for parts of a device.
    fn is_whole_device(&self) -> bool {
        let added = |path: &str| {
            let parents = ["/machine/peripheral/", "/machine/peripheral-anon/"];
            parents.iter().find_map(|parent| path.strip_prefix(parent)).is_some_and(|name| !name.contains('/'))
        };
        self.device.is_some() || self.path.as_deref().is_some_and(added)
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
            add(format!("errno {errno}{}", meaning_of(errno)));
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

    fn outcome(kind: Kind, data: Value) -> Outcome {
        let event = json!({ "event": "X", "data": data, "timestamp": { "seconds": 1, "microseconds": 2 } });
        let Ok(Message::Event(event)) = Message::parse(&event.to_string()) else { panic!() };
        Outcome { kind, data: EventData::of(event.object().get("data")), event }
    }

    #[test]
    fn refusal_is_formatted_with_all_members() {
        let told = json!({ "device": "dimm1", "path": "/machine/peripheral/dimm1", "request": 7, "reason-code": 6,
            "reason": "unmovable-page", "errno": 16, "drc": 0x8000_0009u32, "address": 0x9000_0000u32,
            "source": "reported-by-token" });
        assert_eq!(
            outcome(Kind::Refused, told).line(),
            "1970-01-01T00:00:01.000002Z dimm1 request 7 refused: unmovable-page, errno 16 (Device or resource busy), \
             DRC 0x80000009, guest address 0x90000000, reported"
        );
    }

    #[test]
    fn reason_is_found_by_its_code_and_an_unknown_code_is_shown() {
        let summary = |code: u64| outcome(Kind::Refused, json!({ "device": "d", "reason-code": code })).summary();
        assert_eq!(summary(1), "refused: last-cpu");
        assert_eq!(summary(200), "refused: reason 200, which is newer than this program");
    }

    #[test]
    fn control_characters_in_names_are_escaped() {
        let told = json!({ "device": "\u{1b}[2J", "reason": "\u{7}" });
        assert_eq!(outcome(Kind::Refused, told).text().matches(char::is_control).collect::<String>(), "\n\n");
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
            kind in prop_oneof![Just(Kind::Released), Just(Kind::Refused), Just(Kind::ClosedByReset)],
            values in prop::collection::vec(anything(), 11),
        ) {
            const MEMBERS: [&str; 11] = ["device", "path", "request", "source", "reason-code", "reason", "errno", "drc",
                "address", "seconds", "microseconds"];
            let members: Map<String, Value> = MEMBERS.map(str::to_owned).into_iter().zip(values).collect();
            let event = json!({ "event": "X", "data": members, "timestamp": members });
            let Ok(Message::Event(event)) = Message::parse(&event.to_string()) else { panic!() };
            let outcome = Outcome { kind, data: EventData::of(event.object().get("data")), event };
            prop_assert!(!outcome.line().contains(char::is_control));
            let object: Value = serde_json::from_str(&outcome.json().unwrap()).unwrap();
            prop_assert_eq!(object["event"].as_object(), Some(outcome.event.object()));
        }
    }

    #[test]
    fn outcome_of_an_earlier_request_or_another_device_is_not_an_answer() {
        let stock = outcome(Kind::Refused, json!({ "device": "d", "path": "/p/d" }));
        assert!(stock.answers("d", None) && stock.answers("/p/d", None) && !stock.answers("e", None));
        let ours = outcome(Kind::Refused, json!({ "device": "d", "request": 7 }));
        assert!(ours.answers("d", Some(6)) && !ours.answers("d", Some(7)));
        assert!(outcome(Kind::Released, json!({ "device": "d" })).answers("d", Some(7)));
    }

    #[test]
    fn json_keeps_the_whole_event() {
        let told = json!({ "device": "d", "reason": "last-cpu", "__com.example_new": [1] });
        let object: Value = serde_json::from_str(&outcome(Kind::Refused, told.clone()).json().unwrap()).unwrap();
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
        let outcome = Outcome { kind: Kind::Released, data: EventData::default(), event };
        assert!(outcome.line().starts_with("20"), "{}", outcome.line());
    }
}
