// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines of a stream, with the time at which each was read.

use crate::deadline::Deadline;
use std::{
    io::{self, BufRead as _, BufReader},
    os::unix::net::UnixStream,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};
use thiserror::Error;

/// Line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Time at which it was read.
    pub at: Instant,
    /// Text; invalid UTF-8 is replaced.
    pub text: String,
}

/// Reason why no line was read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LineError {
    /// The deadline has passed.
    #[error("nothing came within {} seconds", crate::deadline::patience().as_secs())]
    Timeout,
    /// The other end is closed: the VMM has ended.
    #[error("the VMM ended")]
    Closed,
}

/// Lines of a stream. A thread of its own reads them, so that the times are right and no writer is held up.
#[derive(Debug)]
pub struct Lines(Receiver<Line>);

impl Lines {
    /// Starts to read a stream. `observer` is called with each line.
    pub fn of(stream: &UnixStream, observer: impl Fn(&str) + Send + 'static) -> io::Result<Self> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().name("lines".into()).spawn(move || {
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length != 0) {
                let at = Instant::now();
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
                observer(&text);
                if sender.send(Line { at, text }).is_err() {
                    break;
                }
                bytes.clear();
            }
        })?;
        Ok(Self(receiver))
    }

    /// Returns the next line if it has been read.
    pub fn ready(&self) -> Option<Line> {
        self.0.try_recv().ok()
    }

    /// Waits for the next line.
    pub fn next(&self, deadline: Deadline) -> Result<Line, LineError> {
        self.0.recv_timeout(deadline.left()).map_err(|error| match error {
            RecvTimeoutError::Timeout => LineError::Timeout,
            RecvTimeoutError::Disconnected => LineError::Closed,
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
        assert_eq!(next(), Err(LineError::Closed));
    }
}
