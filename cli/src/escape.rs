// SPDX-License-Identifier: MIT OR Apache-2.0

//! Escaping of text from elsewhere for a terminal.

/// Escapes the characters that would control a terminal.
pub fn escaped(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_escaped() {
        assert_eq!(escaped("Gerät 'a\"\\b'"), "Gerät 'a\"\\b'");
        assert_eq!(escaped("\u{1b}[2J\n\u{9b}"), "\\u{1b}[2J\\n\\u{9b}");
    }
}
