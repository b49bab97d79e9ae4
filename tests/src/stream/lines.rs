// SPDX-License-Identifier: MIT OR Apache-2.0

//! The lines of a stream, each with the moment it was read.

use crate::deadline::Deadline;
use std::{
    io::{self, BufRead as _, BufReader},
    os::unix::net::UnixStream,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};
use thiserror::Error;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// What it says; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoLine {
    /// The deadline has passed.
    #[error("nothing came within {} seconds", crate::deadline::PATIENCE.as_secs())]
    Late,
    /// The other end is closed: the VMM is gone.
    #[error("the VMM ended")]
    Gone,
}

/// The lines of a stream, read by a thread of its own so that none is late and no writer is held up.
#[derive(Debug)]
pub struct Lines(Receiver<Line>);

impl Lines {
    /// Reads the stream from here on; `witness` sees each line as it comes.
    pub fn of(stream: &UnixStream, witness: impl Fn(&str) + Send + 'static) -> io::Result<Self> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().name("lines".into()).spawn(move || {
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length != 0) {
                let at = Instant::now();
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
                witness(&text);
                if sender.send(Line { at, text }).is_err() {
                    break;
                }
                bytes.clear();
            }
        })?;
        Ok(Self(receiver))
    }

    /// The next line, if it has come.
    pub fn ready(&self) -> Option<Line> {
        self.0.try_recv().ok()
    }

    /// The next line, waited for.
    pub fn next(&self, deadline: Deadline) -> Result<Line, NoLine> {
        self.0.recv_timeout(deadline.left()).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoLine::Late,
            RecvTimeoutError::Disconnected => NoLine::Gone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_lose_their_ends_and_a_closed_stream_is_gone() {
        let (mut far, near) = UnixStream::pair().unwrap();
        far.write_all(b"one\r\n\r\nthr\xffee").unwrap();
        drop(far);
        let lines = Lines::of(&near, |_| {}).unwrap();
        let next = || lines.next(Deadline::start()).map(|line| line.text);
        assert_eq!(next().unwrap(), "one");
        assert_eq!(next().unwrap(), "");
        assert_eq!(next().unwrap(), "thr\u{fffd}ee");
        assert_eq!(next(), Err(NoLine::Gone));
    }
}
