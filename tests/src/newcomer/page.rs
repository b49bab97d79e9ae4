// SPDX-License-Identifier: MIT OR Apache-2.0

//! Commands that a page of the documentation shows.

/// Returns the commands for root in each `console` block below a heading, up to the next heading.
///
/// ```
/// use papr_unplug_tests::newcomer::page::commands_for_root;
///
/// let page = "## In a guest\nFirst:\n```console\n# true\n$ not this\n# false\n```\n## Later\n";
/// assert_eq!(commands_for_root(page, "In a guest"), [["true", "false"]]);
/// ```
pub fn commands_for_root(page: &str, heading: &str) -> Vec<Vec<String>> {
    let mut blocks: Vec<Vec<String>> = Vec::new();
    let (mut is_below, mut is_code, mut is_console) = (false, false, false);
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_console = !is_code && language == "console";
            is_code ^= true;
            if is_below && is_console {
                blocks.push(Vec::new());
            }
        } else if is_code {
            let command = line.strip_prefix("# ").filter(|_| is_below && is_console);
            if let (Some(command), Some(block)) = (command, blocks.last_mut()) {
                block.push(command.to_owned());
            }
        } else if line.starts_with('#') {
            is_below = line.trim_start_matches('#').trim() == heading;
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_below_the_heading_alone() {
        let page = "# A\n```console\n# one\n```\n## B\n```text\n# two\n```\n```console\n# three\n## no heading\n```\n\
                    ```console\n$ four\n```\n```console\n# five\n```\n# C\n```console\n# six\n```\n";
        assert_eq!(commands_for_root(page, "B"), [["three"], ["five"]]);
        assert_eq!(commands_for_root(page, "A"), [["one"]]);
        assert!(commands_for_root(page, "no heading").is_empty());
    }
}
