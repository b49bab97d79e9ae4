// SPDX-License-Identifier: MIT OR Apache-2.0

//! Standard error: notes, and on a terminal a spinner with the state that the program waits in.

use crate::escape::escaped;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

/// Writer of notes to standard error.
#[derive(Debug, Default)]
pub struct Notes {
    spinner: Option<ProgressBar>,
}

impl Notes {
    /// Returns a writer with a spinner if standard error is a terminal.
    pub fn with_spinner() -> Self {
        if !stderr().is_terminal() {
            return Self::default();
        }
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:.dim}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let spinner = ProgressBar::new_spinner().with_style(style);
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self { spinner: Some(spinner) }
    }

    /// Returns whether there is a spinner.
    pub fn is_live(&self) -> bool {
        self.spinner.is_some()
    }

    /// Prints a line that stays.
    pub fn say(&self, line: &str) {
        let line = escaped(line);
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| eprintln!("papr-unplug: {line}")),
            None => eprintln!("papr-unplug: {line}"),
        }
    }

    /// Hides the spinner while `print` writes to the terminal.
    pub fn paused<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.spinner {
            Some(spinner) => spinner.suspend(print),
            None => print(),
        }
    }

    /// Sets the text of the spinner.
    pub fn at(&self, state: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(escaped(state));
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
