// SPDX-License-Identifier: MIT OR Apache-2.0

//! Messages of a QMP server, with all of their members.

use serde_json::{Map, Value};
use std::fmt;
use thiserror::Error;

/// Message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first message on a connection.
    Greeting,
    /// The answer to a command.
    Reply {
        /// The command's `id`, absent if the server could not parse the command.
        id: Option<u64>,
        /// The returned value, or the error.
        answer: Result<Value, CommandError>,
    },
    /// An event.
    Event(Event),
}

/// Event, with all members as received.
#[derive(Clone, Debug, PartialEq)]
pub struct Event(Map<String, Value>);

/// Error answer to a command.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{description} ({class})")]
pub struct CommandError {
    /// QMP's error class, most often `GenericError`.
    pub class: String,
    /// Text for people.
    pub description: String,
}

/// Line that is not a QMP message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a QMP message: {}", abridged(.0))]
pub struct ParseError(String);

impl Message {
    /// Parses one line.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let invalid = || ParseError(line.to_owned());
        let mut object: Map<String, Value> = serde_json::from_str(line).map_err(|_| invalid())?;
        let id = object.get("id").and_then(Value::as_u64);
        if object.get("event").is_some_and(Value::is_string) {
            Ok(Self::Event(Event(object)))
        } else if let Some(value) = object.remove("return") {
            Ok(Self::Reply { id, answer: Ok(value) })
        } else if let Some(error) = object.get("error") {
            let member = |name| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let error = CommandError { class: member("class"), description: member("desc") };
            Ok(Self::Reply { id, answer: Err(error) })
        } else if object.contains_key("QMP") {
            Ok(Self::Greeting)
        } else {
            Err(invalid())
        }
    }
}

impl Event {
    /// Returns the event's name.
    pub fn name(&self) -> &str {
        self.0.get("event").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the whole JSON object of the event.
    pub fn object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns a member of the event's `data`.
    pub fn data(&self, member: &str) -> Option<&Value> {
        self.0.get("data")?.get(member)
    }

    /// Returns the id of the device that the event is about, if the device has one.
    pub fn device(&self) -> Option<&str> {
        self.data("device")?.as_str()
    }
}

impl CommandError {
    /// Returns whether the server does not have the command.
    pub fn is_unknown_command(&self) -> bool {
        self.class == "CommandNotFound"
    }
}

impl ParseError {
    /// Returns the line.
    pub fn line(&self) -> &str {
        &self.0
    }
}

/// Quotes the first characters of a line of any length.
fn abridged(line: &str) -> String {
    const SHOWN: usize = 80;
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}, and more", &line[..end]),
        None => format!("{line:?}"),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn event_keeps_unknown_members() {
        let line = r#"{"timestamp":{"seconds":1},"event":"DEVICE_UNPLUG_GUEST_ERROR","data":{"device":"d","__com.example_x":7},"new":[1]}"#;
        let Ok(Message::Event(event)) = Message::parse(line) else { panic!() };
        assert_eq!(event.name(), "DEVICE_UNPLUG_GUEST_ERROR");
        assert_eq!(event.device(), Some("d"));
        assert_eq!(event.data("__com.example_x"), Some(&json!(7)));
        assert_eq!(
            serde_json::from_str::<Value>(&event.to_string()).unwrap(),
            serde_json::from_str::<Value>(line).unwrap()
        );
    }

    #[test]
    fn event_without_data_has_no_device() {
        let Ok(Message::Event(event)) = Message::parse(r#"{"event":"STOP"}"#) else { panic!() };
        assert_eq!(event.device(), None);
    }

    #[test]
    fn replies_carry_the_id_of_their_command() {
        assert_eq!(
            Message::parse(r#"{"id":4,"return":{"a":1}}"#),
            Ok(Message::Reply { id: Some(4), answer: Ok(json!({"a": 1})) })
        );
        let error = CommandError { class: "GenericError".into(), description: "already in progress".into() };
        assert_eq!(
            Message::parse(r#"{"id":5,"error":{"class":"GenericError","desc":"already in progress"}}"#),
            Ok(Message::Reply { id: Some(5), answer: Err(error) })
        );
    }

    #[test]
    fn invalid_line_is_quoted_in_part_and_without_control_characters() {
        let error = |line: &str| Message::parse(line).unwrap_err().to_string();
        assert_eq!(error("\u{1b}[K"), r#"not a QMP message: "\u{1b}[K""#);
        assert_eq!(error(&"é".repeat(81)), format!("not a QMP message: {:?}, and more", "é".repeat(80)));
    }

    #[test]
    fn greeting_is_recognized_and_anything_else_is_an_error() {
        assert_eq!(Message::parse(r#"{"QMP":{"version":{},"capabilities":[]}}"#), Ok(Message::Greeting));
        for line in ["", "[]", "{", "{}", r#"{"event":1}"#] {
            assert_eq!(Message::parse(line), Err(ParseError(line.into())));
        }
    }
}
