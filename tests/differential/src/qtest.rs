// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's qtest protocol, a line for each command and response: `docs/devel/testing/qtest.rst` in QEMU's source.

use crate::connection::Connection;
use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Write as _},
};
use thiserror::Error;

/// A connection to the VMM's qtest.
#[derive(Debug)]
pub struct Qtest {
    connection: BufReader<Connection>,
    line: String,
}

/// A failed qtest command.
#[derive(Debug, Error)]
pub enum QtestError {
    /// The VMM closed the connection, so it is gone.
    #[error("the VMM is gone")]
    Gone,
    /// The response is not `OK`.
    #[error("qtest answered `{answer}` to `{question}`")]
    Refused {
        /// The command.
        question: String,
        /// The response.
        answer: String,
    },
    /// The connection failed otherwise.
    #[error("cannot talk to qtest")]
    Io(#[source] io::Error),
}

impl Qtest {
    /// Makes a qtest client of a connection.
    pub fn on(connection: Connection) -> Self {
        Self { connection: BufReader::new(connection), line: String::new() }
    }

    /// Sends commands and returns the text after `OK` in the response to the last.
    ///
    /// The commands are sent together: most of the time of a command is waking the two processes.
    pub fn ask(&mut self, questions: &[&str]) -> Result<&str, QtestError> {
        let all: String = questions.iter().flat_map(|question| [question, "\n"]).collect();
        self.connection.get_mut().write_all(all.as_bytes()).map_err(gone_or)?;
        for question in questions {
            self.read_answer()?;
            if !self.line.starts_with("OK") {
                return Err(QtestError::Refused { question: (*question).to_owned(), answer: self.line.clone() });
            }
        }
        Ok(self.line.trim_start_matches("OK").trim())
    }

    /// Reads a response.
    fn read_answer(&mut self) -> Result<(), QtestError> {
        loop {
            self.line.clear();
            if self.connection.read_line(&mut self.line).map_err(gone_or)? == 0 {
                return Err(QtestError::Gone);
            }
            // Notifications of interrupts come in between.
            if !self.line.starts_with("IRQ ") {
                return Ok(());
            }
        }
    }
}

/// Returns the command that writes the guest's memory.
pub fn write(address: u64, bytes: &[u8]) -> String {
    bytes.iter().fold(format!("write {address:#x} {:#x} 0x", bytes.len()), |mut question, byte| {
        // Writing to a string cannot fail.
        let _ = write!(question, "{byte:02x}");
        question
    })
}

/// Returns the command that reads the guest's memory.
pub fn read(address: u64, length: usize) -> String {
    format!("read {address:#x} {length:#x}")
}

/// Decodes the response to [`read`].
pub fn bytes(answer: &str) -> Result<Vec<u8>, QtestError> {
    let refused = || QtestError::Refused { question: "read".to_owned(), answer: answer.to_owned() };
    let digits = answer.strip_prefix("0x").filter(|digits| digits.len() % 2 == 0).ok_or_else(refused)?;
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>().ok_or_else(refused)
}

fn gone_or(error: io::Error) -> QtestError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => QtestError::Gone,
        _ => QtestError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixStream, thread};

    fn talk(answers: &'static [u8]) -> Qtest {
        let (mut far, near) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut question = String::new();
            BufReader::new(far.try_clone().unwrap()).read_line(&mut question).unwrap();
            far.write_all(answers).unwrap();
        });
        Qtest::on(Connection::on(near).unwrap())
    }

    #[test]
    fn answer_is_what_follows_the_last_ok_and_interrupts_are_passed_over() {
        assert_eq!(talk(b"IRQ raise 1\nOK 7\n").ask(&["x"]).unwrap(), "7");
        assert_eq!(talk(b"OK\nOK 8\n").ask(&["x", "y"]).unwrap(), "8");
    }

    #[test]
    fn answer_that_is_not_ok_or_not_there_is_an_error() {
        assert!(matches!(talk(b"FAIL Unknown command\n").ask(&["x"]), Err(QtestError::Refused { .. })));
        assert!(matches!(talk(b"OK\n").ask(&["x", "y"]), Err(QtestError::Gone)));
    }

    #[test]
    fn memory_travels_in_hex() {
        assert_eq!(write(0x10, &[0x0A, 0xFF]), "write 0x10 0x2 0x0aff");
        assert_eq!(bytes("0x0aff").unwrap(), [0x0A, 0xFF]);
        assert!(["0x0af", "0aff", "0x0g"].iter().all(|answer| bytes(answer).is_err()));
    }
}
