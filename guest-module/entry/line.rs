// SPDX-License-Identifier: GPL-2.0-only

//! Line of the kernel log, formatted into a buffer of fixed size.

use core::fmt;

/// The size of the buffer in bytes. The lines of the module are shorter; a longer one is cut.
pub const CAPACITY: usize = 192;

/// One line, without the newline.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; CAPACITY],
    length: usize,
}

/// An empty line.
impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; CAPACITY], length: 0 }
    }
}

impl Line {
    /// Returns the bytes that were written.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    /// Appends as much as fits. Fails if that is not all.
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
        let mut line = Line::default();
        write!(line, "refused: cpu, error {}", -16).unwrap();
        assert_eq!(line.as_bytes(), b"refused: cpu, error -16");
    }

    #[test]
    fn line_that_is_too_long_ends_where_the_room_does() {
        let mut line = Line::default();
        line.write_str("begin ").unwrap();
        for _ in 0..=CAPACITY {
            let _ = line.write_str("12345");
        }
        assert_eq!(line.as_bytes().len(), CAPACITY);
        assert!(line.as_bytes().starts_with(b"begin 12345123"));
        assert!(line.write_str("more").is_err());
    }
}
