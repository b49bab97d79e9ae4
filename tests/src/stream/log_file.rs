// SPDX-License-Identifier: MIT OR Apache-2.0

//! Log file that is complete at any moment, even if the process that writes it is killed.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Instant,
};

/// Log file whose lines begin with the seconds since it was opened. Clones write to the same file.
#[derive(Clone, Debug)]
pub struct LogFile {
    file: Arc<File>,
    opened: Instant,
}

impl LogFile {
    /// Creates the file, or replaces an older one.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(File::create(path)?), opened: Instant::now() })
    }

    /// Adds a line by one unbuffered write. An error, such as a full disk, is ignored and fails no test.
    pub fn add(&self, line: &str) {
        let line = format!("[{:10.6}] {line}\n", self.opened.elapsed().as_secs_f64());
        let _ = self.file.as_ref().write_all(line.as_bytes());
    }
}
