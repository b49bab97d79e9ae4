// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scripted QMP server.

use serde_json::{Value, json};
use std::{
    ffi::{OsStr, OsString},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    thread::{self, JoinHandle},
};
use tempfile::TempDir;

/// QEMU's greeting.
pub(crate) const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": ""}, "capabilities": ["oob"]}}"#;

/// Server in a thread of its own.
pub(crate) struct Server {
    directory: TempDir,
    name: OsString,
    thread: JoinHandle<()>,
}

/// The server's end of a connection.
pub(crate) struct Connection {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Server {
    /// Accepts one connection and runs the script.
    pub(crate) fn play(script: impl FnOnce(Connection) + Send + 'static) -> Self {
        Self::play_at(OsStr::new("qmp"), script)
    }

    /// Plays at a socket of this name.
    pub(crate) fn play_at(name: &OsStr, script: impl FnOnce(Connection) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(name)).unwrap();
        let thread = thread::spawn(move || {
            let (writer, _) = listener.accept().unwrap();
            script(Connection { reader: BufReader::new(writer.try_clone().unwrap()), writer });
        });
        Self { directory, name: name.to_owned(), thread }
    }

    /// Plays a stock QEMU up to the answer to `device_del`, then runs the script.
    pub(crate) fn stock_asked(script: impl FnOnce(&mut Connection) + Send + 'static) -> Self {
        Self::play(|mut vm| {
            vm.greet();
            vm.lacks("query-device-unplug-requests");
            vm.answers("query-status", &json!({ "status": "running", "running": true }));
            vm.answers("device_del", &json!({}));
            script(&mut vm);
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// Waits for the script's end, and fails if it failed.
    pub(crate) fn finish(self) {
        self.thread.join().unwrap();
    }
}

impl Connection {
    pub(crate) fn greet(&mut self) {
        self.sends(GREETING);
        self.answers("qmp_capabilities", &json!({}));
    }

    /// Sends a line.
    pub(crate) fn sends(&mut self, line: &str) {
        self.sends_bytes(format!("{line}\r\n").as_bytes());
    }

    /// Sends bytes. The client may have closed the connection before.
    pub(crate) fn sends_bytes(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes);
    }

    pub(crate) fn emits(&mut self, event: &str, data: &Value) {
        let timestamp = json!({ "seconds": 1_790_000_000, "microseconds": 42 });
        self.sends(&json!({ "event": event, "data": data, "timestamp": timestamp }).to_string());
    }

    /// Waits for a command; returns its arguments and its id.
    pub(crate) fn expects(&mut self, command: &str) -> (Value, Value) {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let mut sent: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{command} expected, got {line:?}"));
        assert_eq!(sent["execute"], command, "{line}");
        (sent["arguments"].take(), sent["id"].take())
    }

    pub(crate) fn answers(&mut self, command: &str, answer: &Value) {
        let (_, id) = self.expects(command);
        self.sends(&json!({ "return": answer, "id": id }).to_string());
    }

    pub(crate) fn refuses(&mut self, command: &str, class: &str, desc: &str) {
        let (_, id) = self.expects(command);
        self.sends(&json!({ "error": { "class": class, "desc": desc }, "id": id }).to_string());
    }

    pub(crate) fn lacks(&mut self, command: &str) {
        self.refuses(command, "CommandNotFound", &format!("The command {command} has not been found"));
    }

    /// Answers all commands with `{}` until the client is gone.
    pub(crate) fn answers_all(&mut self) {
        let mut line = String::new();
        while self.reader.read_line(&mut line).is_ok_and(|length| length != 0) {
            let sent: Value = serde_json::from_str(&line).unwrap();
            self.sends(&json!({ "return": {}, "id": sent["id"] }).to_string());
            line.clear();
        }
    }

    /// Waits until the client is gone; fails if it sent anything.
    pub(crate) fn expects_no_more(&mut self) {
        let mut line = String::new();
        assert_eq!(self.reader.read_line(&mut line).unwrap(), 0, "{line}");
    }
}
