// SPDX-License-Identifier: GPL-2.0-only

//! A line of the kernel log, in room that is set aside for it.

use core::fmt;

/// The longest line. What the module has to say is shorter; a line that is not ends where the room does.
pub const CAPACITY: usize = 192;

/// One line, without its end.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: 0 }
    }

    /// The line so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    /// Appends as much as there is room for; the error says that it was not all.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let fits = text.len().min(room.len());
        for (place, byte) in room.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        self.length = self.length.saturating_add(fits);
        if fits == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn line_is_what_was_written() {
        let mut line = Line::new();
        write!(line, "refused: cpu, error {}", -16).unwrap();
        assert_eq!(line.as_bytes(), b"refused: cpu, error -16");
    }

    #[test]
    fn line_that_is_too_long_ends_where_the_room_does() {
        let mut line = Line::new();
        line.write_str("begin ").unwrap();
        for _ in 0..=CAPACITY {
            let _ = line.write_str("12345");
        }
        assert_eq!(line.as_bytes().len(), CAPACITY);
        assert!(line.as_bytes().starts_with(b"begin 12345123"));
        assert!(line.write_str("more").is_err());
    }
}
