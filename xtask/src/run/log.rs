// SPDX-License-Identifier: MIT OR Apache-2.0

//! Log of the commands of one step. A command that fails is reported with the end of its output.

use crate::run::{
    diagnosis,
    progress::{Progress, RunningTask},
};
use anyhow::{Context, Result, anyhow};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// The interval at which the last line of output is shown on a terminal.
const REFRESH: Duration = Duration::from_millis(250);

/// The number of lines of output that an error repeats.
const TAIL_LINES: usize = 20;

/// The length at which such a line is cut. ninja prints the names of all files that a command makes on one line.
const LINE_CHARACTERS: usize = 300;

/// A log file, and the progress display that its commands appear in.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    progress: Progress,
}

impl Log {
    /// Creates an empty log at `path`.
    pub(crate) fn create(path: PathBuf, progress: &Progress) -> Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file, progress: progress.clone() })
    }

    /// Runs `command` until it exits, and shows `title` meanwhile.
    pub(crate) fn run(&self, title: &str, command: &mut Command) -> Result<()> {
        self.note(&format!("$ {}", command_line(command)))?;
        let from = (&self.file).stream_position().unwrap_or(0);
        let mut task = self.progress.task(title);
        let out = self.file.try_clone()?;
        let err = self.file.try_clone()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| not_started(command, error))?;
        let status = wait(child, || task.at(&self.last_line()))?;
        drop(task);
        if status.success() { Ok(()) } else { Err(self.failure(title, status, from)) }
    }

    /// Writes a line into the log file.
    pub(crate) fn note(&self, line: &str) -> Result<()> {
        writeln!(&self.file, "{line}").with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Prints a line for the user.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        self.progress.say(line);
    }

    /// Shows that `title` is under way until the task is dropped.
    pub(crate) fn task(&self, title: &str) -> RunningTask {
        self.progress.task(title)
    }

    /// Returns a descriptor that shares the offset of the log file, for commands that [`Log::run`] does not run.
    pub(crate) fn descriptor(&self) -> Result<File> {
        Ok(self.file.try_clone()?)
    }

    /// Returns the error for a command that failed and whose output begins at byte `from` of the log file.
    pub(crate) fn failure(&self, title: &str, status: ExitStatus, from: u64) -> anyhow::Error {
        let text = read_from(&self.path, from).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        let tail = tail.iter().map(|line| format!("    | {}\n", cut(line)));
        let shown = format!("{title}: failed ({status})\n{}    log: {}", tail.collect::<String>(), self.path.display());
        match diagnosis::fix(&text) {
            Some(fix) => anyhow!(shown).context(fix),
            None => anyhow!(shown),
        }
    }

    fn last_line(&self) -> String {
        let length = self.path.metadata().map(|found| found.len()).unwrap_or(0);
        let text = read_from(&self.path, length.saturating_sub(1024)).unwrap_or_default();
        text.lines()
            .rev()
            .find(|line| line.contains(char::is_alphanumeric) && !line.starts_with("$ "))
            .unwrap_or_default()
            .to_owned()
    }
}

/// Runs a command that takes a moment, without a log, and returns its standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("`{}` failed ({}): {}", command_line(command), output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns a command that the kernel kills when the thread that started it ends (`PR_SET_PDEATHSIG`).
pub(crate) fn killed_with_parent(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

fn wait(mut child: Child, mut tick: impl FnMut()) -> Result<ExitStatus> {
    let (sender, ended) = mpsc::channel();
    // The calling thread has spawned the child and must live as long as the child: PR_SET_PDEATHSIG in prctl(2) is
    // about threads. Only the blocking wait is done by another thread.
    thread::spawn(move || sender.send(child.wait()));
    loop {
        match ended.recv_timeout(REFRESH) {
            Ok(status) => return status.context("cannot wait for a command"),
            Err(RecvTimeoutError::Timeout) => tick(),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(anyhow!("the thread that waits for a command has ended"));
            }
        }
    }
}

/// Returns the first [`LINE_CHARACTERS`] characters of a line.
fn cut(line: &str) -> String {
    let begin: String = line.chars().take(LINE_CHARACTERS).collect();
    if begin.len() < line.len() { begin + " ..." } else { begin }
}

fn not_started(command: &Command, error: io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    anyhow!(error).context(format!("cannot run `{program}`"))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_cut_and_others_are_not() {
        assert_eq!(cut("ninja: build stopped"), "ninja: build stopped");
        assert_eq!(cut(&"\u{fc}".repeat(LINE_CHARACTERS)), "\u{fc}".repeat(LINE_CHARACTERS));
        assert_eq!(cut(&"\u{fc}".repeat(LINE_CHARACTERS + 1)), "\u{fc}".repeat(LINE_CHARACTERS) + " ...");
    }
}
