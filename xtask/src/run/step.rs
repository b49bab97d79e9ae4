// SPDX-License-Identifier: MIT OR Apache-2.0
//! One command of a recipe: its output goes to a log, and a failure shows the end of it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::cache::store::Store;
use crate::run::diagnosis;

/// How often a person at a terminal sees what the command last said.
const REFRESH: Duration = Duration::from_millis(250);

/// Lines of the log that a failure repeats.
const TAIL_LINES: usize = 20;

/// Characters of such a line: ninja names all files that a command should have made, in one.
const LINE: usize = 300;

/// The log of one recipe's commands.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Begins `<cache>/log/<name>.log`.
    pub(crate) fn begin(store: &Store, name: &str) -> Result<Self> {
        let path = store.log_dir().join(format!("{name}.log"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Runs a command to its end under the title that people read.
    pub(crate) fn run(&mut self, store: &Store, title: &str, command: &mut Command) -> Result<()> {
        self.note(&format!("$ {}", shown(command)))?;
        let from = self.file.stream_position().unwrap_or(0);
        let mut task = store.progress.task(title);
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

    /// Adds a line of our own.
    pub(crate) fn note(&mut self, line: &str) -> Result<()> {
        // Commands write through descriptors that share this one's offset.
        writeln!(self.file, "{line}").with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Another descriptor, for commands that are not run by [`Log::run`].
    pub(crate) fn descriptor(&self) -> Result<File> {
        Ok(self.file.try_clone()?)
    }

    /// The error for a command that failed after the log had grown to `from` bytes.
    pub(crate) fn failure(&self, title: &str, status: ExitStatus, from: u64) -> anyhow::Error {
        let text = read_from(&self.path, from).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        let tail = tail.iter().map(|line| format!("    | {}\n", begin_of(line)));
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

/// Runs a short command and gives what it printed.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("`{}` failed ({}): {}", shown(command), output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes a program that ends when this process does, however this process ends.
pub(crate) fn killed_with_parent(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

fn wait(mut child: Child, mut tick: impl FnMut()) -> Result<ExitStatus> {
    let (sender, ended) = mpsc::channel();
    // Only the waiting is done elsewhere: this thread must be the one that spawned, see PR_SET_PDEATHSIG in prctl(2).
    thread::spawn(move || sender.send(child.wait()));
    loop {
        match ended.recv_timeout(REFRESH) {
            Ok(status) => return status.context("cannot wait for a command"),
            Err(RecvTimeoutError::Timeout) => tick(),
            Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("lost track of a command")),
        }
    }
}

/// A line, or as much of it as people read.
fn begin_of(line: &str) -> String {
    let begin: String = line.chars().take(LINE).collect();
    if begin.len() < line.len() { begin + " ..." } else { begin }
}

fn not_started(command: &Command, error: io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    anyhow!(error).context(format!("cannot run `{program}`"))
}

fn shown(command: &Command) -> String {
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
        assert_eq!(begin_of("ninja: build stopped"), "ninja: build stopped");
        assert_eq!(begin_of(&"\u{fc}".repeat(LINE)), "\u{fc}".repeat(LINE));
        assert_eq!(begin_of(&"\u{fc}".repeat(LINE + 1)), "\u{fc}".repeat(LINE) + " ...");
    }
}
