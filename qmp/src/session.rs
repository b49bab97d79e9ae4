// SPDX-License-Identifier: MIT OR Apache-2.0

//! Matching of answers to commands. One command is outstanding at a time: QEMU executes them in order anyway.

use crate::message::{CommandError, Event, Message};
use serde_json::{Value, json};

/// Answer to a command.
pub type Answer = Result<Value, CommandError>;

/// State of a client's side of a connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The `id` of the latest command.
    sent: u64,
    answer: Option<Answer>,
}

impl Session {
    /// Begins a command and returns the line to send, with its `\n`. An answer to an earlier command is dropped.
    pub fn command(&mut self, name: &str, arguments: &Value) -> String {
        self.sent += 1;
        self.answer = None;
        format!("{}\n", json!({ "execute": name, "arguments": arguments, "id": self.sent }))
    }

    /// Processes a received message: returns an event, and stores the answer to the latest command for
    /// [`Session::answer`].
    pub fn receive(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Event(event) => return Some(event),
            // A server that could not parse a command answers without its id.
            Message::Reply { id, answer } if id.is_none_or(|id| id == self.sent) => self.answer = Some(answer),
            // The answer to an earlier command, which the caller no longer waits for.
            Message::Reply { .. } | Message::Greeting => {}
        }
        None
    }

    /// Takes the answer to the latest command, if it was received.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(session: &mut Session, line: &str) -> Option<Event> {
        session.receive(Message::parse(line).unwrap())
    }

    #[test]
    fn answer_to_an_earlier_command_is_dropped() {
        let mut session = Session::default();
        session.command("stop", &json!({}));
        session.command("cont", &json!({}));
        receive(&mut session, r#"{"return":"late","id":1}"#);
        assert_eq!(session.answer(), None);
        receive(&mut session, r#"{"return":"in time","id":2}"#);
        assert_eq!(session.answer(), Some(Ok(json!("in time"))));
        assert_eq!(session.answer(), None);
    }

    #[test]
    fn answer_without_an_id_is_for_the_latest_command() {
        let mut session = Session::default();
        session.command("x", &json!({}));
        receive(&mut session, r#"{"error":{"class":"GenericError","desc":"JSON parse error"}}"#);
        assert!(session.answer().unwrap().is_err());
    }

    #[test]
    fn events_pass_through() {
        let mut session = Session::default();
        session.command("x", &json!({}));
        assert_eq!(receive(&mut session, r#"{"event":"STOP"}"#).unwrap().name(), "STOP");
        assert_eq!(session.answer(), None);
    }
}
