// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines of bounded length, read from a stream that is not trusted.

use std::io::{self, BufRead, Read as _};
use thiserror::Error;

/// Longest line that is accepted, in bytes with its end. QEMU's own longest, its schema, has a quarter of a million.
pub const LONGEST: u64 = 8 << 20;

/// Failure to read a line.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The stream ended between two lines.
    #[error("the other side closed the connection")]
    Closed,
    /// The stream ended within a line.
    #[error("the other side closed the connection in the middle of a message")]
    Torn,
    /// The line is longer than [`LONGEST`]. The rest of it is still in the stream.
    #[error("the other side sent a line of more than {LONGEST} bytes")]
    TooLong,
    /// The stream cannot be read.
    #[error("cannot read from the connection")]
    Unreadable(#[source] io::Error),
}

/// Reads the next line and returns it without `\n` or `\r\n`. Bytes that are not UTF-8 become U+FFFD.
pub fn read(stream: &mut impl BufRead) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    // One byte more than is accepted tells a line that is too long from one that just fits.
    stream.take(LONGEST + 1).read_until(b'\n', &mut bytes).map_err(ReadError::Unreadable)?;
    match bytes.pop() {
        Some(b'\n') => {
            bytes.pop_if(|last| *last == b'\r');
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(_) if bytes.len() as u64 == LONGEST => Err(ReadError::TooLong),
        Some(_) => Err(ReadError::Torn),
        None => Err(ReadError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::repeat_n;

    #[test]
    fn lines_lose_their_ends() {
        let mut stream = &b"one\r\n\nthr\xffee\n"[..];
        assert_eq!(read(&mut stream).unwrap(), "one");
        assert_eq!(read(&mut stream).unwrap(), "");
        assert_eq!(read(&mut stream).unwrap(), "thr\u{fffd}ee");
        assert!(matches!(read(&mut stream), Err(ReadError::Closed)));
    }

    #[test]
    fn line_without_an_end_is_torn() {
        assert!(matches!(read(&mut &b"{\"QM"[..]), Err(ReadError::Torn)));
    }

    #[test]
    fn longest_line_is_accepted_and_a_longer_one_is_not() {
        let line = |length: u64| repeat_n(b' ', length as usize - 1).chain([b'\n']).collect::<Vec<u8>>();
        assert_eq!(read(&mut &line(LONGEST)[..]).unwrap().len() as u64, LONGEST - 1);
        assert!(matches!(read(&mut &line(LONGEST + 2)[..]), Err(ReadError::TooLong)));
    }

    #[test]
    fn line_that_never_ends_takes_bounded_memory() {
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(read(&mut endless), Err(ReadError::TooLong)));
    }
}
