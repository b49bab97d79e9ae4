// SPDX-License-Identifier: MIT OR Apache-2.0

//! A VM's monitor that says what a test wants it to, and expects what the test expects.

use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};
use tempfile::TempDir;

/// QEMU's greeting.
pub(crate) const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": ""}, "capabilities": ["oob"]}}"#;

/// A monitor in a thread of its own.
pub(crate) struct Server {
    directory: TempDir,
    thread: JoinHandle<()>,
}

/// Its end of a connection.
pub(crate) struct Talk {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Server {
    /// Takes one connection and plays its part.
    pub(crate) fn play(part: impl FnOnce(Talk) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(Self::socket_in(directory.path())).unwrap();
        let thread = thread::spawn(move || {
            let (writer, _) = listener.accept().unwrap();
            part(Talk { reader: BufReader::new(writer.try_clone().unwrap()), writer });
        });
        Self { directory, thread }
    }

    /// A stock QEMU whose client has asked for `dimm1`.
    pub(crate) fn stock_asked(part: impl FnOnce(&mut Talk) + Send + 'static) -> Self {
        Self::play(|mut talk| {
            talk.greet();
            talk.knows_no("query-device-unplug-requests");
            talk.answers("query-status", &json!({ "status": "running", "running": true }));
            talk.answers("device_del", &json!({}));
            part(&mut talk);
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        Self::socket_in(self.directory.path())
    }

    fn socket_in(directory: &Path) -> PathBuf {
        directory.join("qmp")
    }

    /// Sees that the part was played to its end.
    pub(crate) fn finish(self) {
        self.thread.join().unwrap();
    }
}

impl Talk {
    pub(crate) fn greet(&mut self) {
        self.say(GREETING);
        self.answers("qmp_capabilities", &json!({}));
    }

    /// Says a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.say_bytes(format!("{line}\r\n").as_bytes());
    }

    /// A client may have gone before all is said.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes);
    }

    pub(crate) fn tell(&mut self, event: &str, data: &Value) {
        let timestamp = json!({ "seconds": 1_790_000_000, "microseconds": 42 });
        self.say(&json!({ "event": event, "data": data, "timestamp": timestamp }).to_string());
    }

    /// Waits for a command; gives its arguments and its number.
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
        self.say(&json!({ "return": answer, "id": id }).to_string());
    }

    pub(crate) fn refuses(&mut self, command: &str, class: &str, desc: &str) {
        let (_, id) = self.expects(command);
        self.say(&json!({ "error": { "class": class, "desc": desc }, "id": id }).to_string());
    }

    pub(crate) fn knows_no(&mut self, command: &str) {
        self.refuses(command, "CommandNotFound", &format!("The command {command} has not been found"));
    }

    /// Does whatever it is asked, until the client is gone.
    pub(crate) fn obeys(&mut self) {
        let mut line = String::new();
        while self.reader.read_line(&mut line).is_ok_and(|length| length != 0) {
            let sent: Value = serde_json::from_str(&line).unwrap();
            self.say(&json!({ "return": {}, "id": sent["id"] }).to_string());
            line.clear();
        }
    }

    /// Waits until the client is gone, and sees that it has said nothing more.
    pub(crate) fn expects_no_more(&mut self) {
        let mut line = String::new();
        assert_eq!(self.reader.read_line(&mut line).unwrap(), 0, "{line}");
    }
}
