// SPDX-License-Identifier: MIT OR Apache-2.0

//! What QMP says, with every member it says it with.

use serde_json::{Map, Value};
use std::fmt;
use thiserror::Error;

/// One message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Its first.
    Greeting,
    /// The answer to a command.
    Reply {
        /// The command's `id`; it is missing if the server could not read the command.
        id: Option<u64>,
        /// What it answered.
        answer: Result<Value, CommandError>,
    },
    /// Something happened.
    Event(Event),
}

/// An event, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Event(Map<String, Value>);

/// The server did not do what it was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{description} ({class})")]
pub struct CommandError {
    /// The class, most often `GenericError`.
    pub class: String,
    /// What it says to people.
    pub description: String,
}

/// A line that is no QMP.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("this is no QMP: {}", abridged(.0))]
pub struct NoMessage(String);

impl Message {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, NoMessage> {
        let none = || NoMessage(line.to_owned());
        let mut object: Map<String, Value> = serde_json::from_str(line).map_err(|_| none())?;
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
            Err(none())
        }
    }
}

impl Event {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.get("event").and_then(Value::as_str).unwrap_or_default()
    }

    /// All of it, as it was sent.
    pub fn object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A member of its data.
    pub fn data(&self, member: &str) -> Option<&Value> {
        self.0.get("data")?.get(member)
    }

    /// The device it is about, by the id it was added with.
    pub fn device(&self) -> Option<&str> {
        self.data("device")?.as_str()
    }
}

impl CommandError {
    /// Whether the server knows no such command.
    pub fn is_unknown_command(&self) -> bool {
        self.class == "CommandNotFound"
    }
}

impl NoMessage {
    /// The line.
    pub fn line(&self) -> &str {
        &self.0
    }
}

/// The beginning of a line that may have no end.
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
    fn event_keeps_members_that_nobody_knows() {
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
    fn event_without_data_is_about_no_device() {
        let Ok(Message::Event(event)) = Message::parse(r#"{"event":"STOP"}"#) else { panic!() };
        assert_eq!(event.device(), None);
    }

    #[test]
    fn replies_bear_the_number_of_their_command() {
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
    fn line_that_is_no_qmp_is_shown_in_part_and_without_its_control_characters() {
        let error = |line: &str| Message::parse(line).unwrap_err().to_string();
        assert_eq!(error("\u{1b}[K"), r#"this is no QMP: "\u{1b}[K""#);
        assert_eq!(error(&"é".repeat(81)), format!("this is no QMP: {:?}, and more", "é".repeat(80)));
    }

    #[test]
    fn greeting_is_known_and_anything_else_is_no_qmp() {
        assert_eq!(Message::parse(r#"{"QMP":{"version":{},"capabilities":[]}}"#), Ok(Message::Greeting));
        for line in ["", "[]", "{", "{}", r#"{"event":1}"#] {
            assert_eq!(Message::parse(line), Err(NoMessage(line.into())));
        }
    }
}
