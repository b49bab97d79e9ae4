// SPDX-License-Identifier: MIT OR Apache-2.0

//! Marks around the output of a command, on a terminal that may also echo and prompt.
//!
//! A command is sent as one line that prints a mark before and after it. The line holds the *formats* of the marks, so
//! neither its echo nor a listing of it reads as a mark.

/// Output and exit status of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Text between the marks.
    pub text: String,
    /// Exit status.
    pub status: u8,
}

/// Returns the line that makes a POSIX shell run `command` between marks with this number.
///
/// The shell runs the command itself, not in a subshell: it keeps directories, variables and descriptors that the
/// command changes.
pub fn line_for(number: u64, command: &str) -> String {
    let quoted = command.replace('\'', r"'\''");
    format!(r"printf '\n<%s:begin>\n' {number}; eval '{quoted}' </dev/null; printf '\n<%s:end:%s>\n' {number} $?")
}

/// Reader of a terminal's lines, which finds the output between marks.
#[derive(Debug, Default)]
pub struct Reader {
    /// Number and lines of the command whose output is being read.
    current: Option<(u64, Vec<String>)>,
}

impl Reader {
    /// Takes one line. Returns the number and the output of the command that ends with it.
    pub fn take(&mut self, line: &str) -> Option<(u64, Output)> {
        match (parse(line), &mut self.current) {
            (Some((number, MarkKind::Begin)), current) => {
                *current = Some((number, Vec::new()));
                None
            }
            (Some((number, MarkKind::End(status))), Some((begun, lines))) if *begun == number => {
                // The end mark brings its own line break, so the last line is what the command printed after its last
                // line break.
                let text = lines.join("\n");
                self.current = None;
                Some((number, Output { text, status }))
            }
            (_, Some((_, lines))) => {
                lines.push(line.to_owned());
                None
            }
            (_, None) => None,
        }
    }
}

enum MarkKind {
    Begin,
    End(u8),
}

fn parse(line: &str) -> Option<(u64, MarkKind)> {
    let (number, rest) = line.strip_prefix('<')?.strip_suffix('>')?.split_once(':')?;
    let mark = match rest.split_once(':') {
        None if rest == "begin" => MarkKind::Begin,
        Some(("end", status)) => MarkKind::End(status.parse().ok()?),
        _ => return None,
    };
    Some((number.parse().ok()?, mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn read(lines: &[&str]) -> Vec<(u64, Output)> {
        let mut reader = Reader::default();
        lines.iter().filter_map(|line| reader.take(line)).collect()
    }

    fn output(text: &str, status: u8) -> Output {
        Output { text: text.into(), status }
    }

    /// Runs the line in a real shell and reads the result.
    fn run(command: &str) -> Output {
        let printed = Command::new("sh").args(["-c", &line_for(7, command)]).output().unwrap().stdout;
        let printed = String::from_utf8(printed).unwrap();
        let [(7, output)] = &read(&printed.lines().collect::<Vec<_>>())[..] else { panic!("{printed}") };
        output.clone()
    }

    #[test]
    fn output_is_what_stands_between_the_marks() {
        assert_eq!(
            read(&["# noise", "<1:begin>", "a", "", "b", "", "<1:end:0>", "# ", "<2:begin>", "", "<2:end:3>"]),
            [(1, output("a\n\nb\n", 0)), (2, output("", 3))]
        );
    }

    #[test]
    fn echo_of_the_line_is_no_mark() {
        assert_eq!(read(&[&line_for(1, "true"), "<1:begin>", "", "<1:end:0>"]), [(1, output("", 0))]);
    }

    #[test]
    fn what_only_looks_like_a_mark_is_output() {
        let odd = ["<x:begin>", "<1:end:256>", "<1:middle>", "<2:end:0>", "<>"];
        let lines = [&["<1:begin>"][..], &odd, &["", "<1:end:0>"]].concat();
        assert_eq!(read(&lines), [(1, output(&(odd.join("\n") + "\n"), 0))]);
    }

    #[test]
    fn shell_keeps_quotes_ends_of_line_and_status() {
        assert_eq!(run("echo \"it's\""), output("it's\n", 0));
        assert_eq!(run("printf 'no end'"), output("no end", 0));
        assert_eq!(run("(exit 9)"), output("", 9));
        assert_eq!(run("true &"), output("", 0));
    }
}
