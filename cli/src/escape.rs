// SPDX-License-Identifier: MIT OR Apache-2.0

//! Escaping of text from elsewhere for a terminal.

/// Escapes the characters that would control a terminal or change the order in which it shows text.
pub fn escaped(text: &str) -> String {
    let shown = |c: char| if is_control(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Escapes the same characters in a JSON text, where they occur only in strings.
pub fn escaped_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_control(c) {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

/// Returns whether a character is a control, or one of Unicode's invisible format characters and separators.
fn is_control(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_escaped() {
        assert_eq!(escaped("Gerät 'a\"\\b'"), "Gerät 'a\"\\b'");
        assert_eq!(escaped("\u{1b}[2J\n\u{9b}"), "\\u{1b}[2J\\u{a}\\u{9b}");
        assert_eq!(escaped("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({ "\u{202e}\u{9b}": "é\u{7f}\u{e0001}\n" });
        let text = escaped_json(&value.to_string());
        assert_eq!(text, r#"{"\u202e\u009b":"é\u007f\udb40\udc01\n"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
