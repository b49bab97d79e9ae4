// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which answer belongs to which command. Commands are given one at a time: QEMU would do them in that order anyway.

use crate::message::{CommandError, Event, Message};
use serde_json::{Value, json};

/// What a command came to.
pub type Answer = Result<Value, CommandError>;

/// A client's side of a connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The number of the latest command.
    sent: u64,
    answer: Option<Answer>,
}

impl Session {
    /// Begins a command: gives the line to send, with its end.
    pub fn command(&mut self, name: &str, arguments: &Value) -> String {
        self.sent += 1;
        self.answer = None;
        format!("{}\n", json!({ "execute": name, "arguments": arguments, "id": self.sent }))
    }

    /// Takes what was received. An event is handed back, and the answer to the latest command kept for
    /// [`Session::answer`].
    pub fn file(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Event(event) => return Some(event),
            // A server that could not read a command answers without a number.
            Message::Reply { id, answer } if id.is_none_or(|id| id == self.sent) => self.answer = Some(answer),
            // The answer to a command that was given up on.
            Message::Reply { .. } | Message::Greeting => {}
        }
        None
    }

    /// The answer to the latest command, if it has come and was not taken yet.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(session: &mut Session, line: &str) -> Option<Event> {
        session.file(Message::parse(line).unwrap())
    }

    #[test]
    fn answer_is_that_of_the_latest_command() {
        let mut session = Session::default();
        session.command("stop", &json!({}));
        session.command("cont", &json!({}));
        file(&mut session, r#"{"return":"late","id":1}"#);
        assert_eq!(session.answer(), None);
        file(&mut session, r#"{"return":"in time","id":2}"#);
        assert_eq!(session.answer(), Some(Ok(json!("in time"))));
        assert_eq!(session.answer(), None);
    }

    #[test]
    fn answer_without_a_number_is_that_of_the_latest_command() {
        let mut session = Session::default();
        session.command("x", &json!({}));
        file(&mut session, r#"{"error":{"class":"GenericError","desc":"JSON parse error"}}"#);
        assert!(session.answer().unwrap().is_err());
    }

    #[test]
    fn events_pass_through() {
        let mut session = Session::default();
        session.command("x", &json!({}));
        assert_eq!(file(&mut session, r#"{"event":"STOP"}"#).unwrap().name(), "STOP");
        assert_eq!(session.answer(), None);
    }
}
