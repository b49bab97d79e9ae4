// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words from elsewhere, on the way to a terminal.

/// The text, with characters that would steer a terminal made visible.
pub fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_changed() {
        assert_eq!(plain("Gerät 'a\"\\b'"), "Gerät 'a\"\\b'");
        assert_eq!(plain("\u{1b}[2J\n\u{9b}"), "\\u{1b}[2J\\n\\u{9b}");
    }
}
