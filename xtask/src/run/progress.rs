// SPDX-License-Identifier: MIT OR Apache-2.0

//! Progress on standard error: spinners on a terminal, a line every 15 seconds elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// The interval at which a long task prints a line where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The display. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    spinners: Option<MultiProgress>,
}

impl Progress {
    /// Opens the display on standard error.
    pub(crate) fn new() -> Self {
        Self { spinners: stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Prints a line.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        match &self.spinners {
            // Printing fails when the terminal is gone; progress is not worth an error then.
            Some(spinners) => drop(spinners.println(line.as_ref())),
            None => eprintln!("{}", line.as_ref()),
        }
    }

    /// Shows that `title` is under way until the task is dropped.
    pub(crate) fn task(&self, title: impl Into<String>) -> RunningTask {
        let title = title.into();
        let spinner = self.spinners.as_ref().map(|spinners| {
            let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let spinner = spinners.add(ProgressBar::new_spinner().with_style(style).with_prefix(title.clone()));
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        let now = Instant::now();
        RunningTask { title, spinner, began: now, last_line: now }
    }
}

/// A task that is under way.
#[derive(Debug)]
pub(crate) struct RunningTask {
    title: String,
    spinner: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
}

impl RunningTask {
    /// Shows `detail` beside the title. Callers need not limit how often they call it.
    pub(crate) fn at(&mut self, detail: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(detail.trim().to_owned());
        } else if self.last_line.elapsed() >= HEARTBEAT {
            self.last_line = Instant::now();
            eprintln!("    {}, {}: {}", self.title, seconds(self.began.elapsed()), detail.trim());
        }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Formats a duration in whole seconds: "4 s", "2 min 5 s".
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_past_a_minute_are_split() {
        assert_eq!(seconds(Duration::from_millis(59_900)), "59 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }
}
