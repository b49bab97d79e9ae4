// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever happens to the program, in one place to wait at: lines from the monitor, and signals from the user.

use crate::endpoint::Endpoint;
use anyhow::{Context as _, Result};
use papr_unplug_qmp::line::{self, NoLine};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    io::{BufReader, Write},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

/// Something that happened.
pub enum Input {
    /// The monitor can be written to now; or it cannot be reached.
    Connected(Result<Box<dyn Write + Send>>),
    /// It said a line. Nothing comes after there was none.
    Line(Result<String, NoLine>),
    /// The user, or the system, wants the program to end.
    Signal(i32),
}

/// Lines that may be read ahead. Who talks faster than we listen has to wait.
const AHEAD: usize = 16;

/// Begins to connect, and gives what happens from here on.
pub fn begin(endpoint: &Endpoint) -> Result<Receiver<Input>> {
    let (sender, receiver) = mpsc::sync_channel(AHEAD);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    let endpoint = endpoint.clone();
    let of_monitor = sender.clone();
    thread::Builder::new().name("monitor".into()).spawn(move || listen(&endpoint, &of_monitor))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        // It ends when nobody listens any more, and that is when the program does.
        signals.forever().map(Input::Signal).try_for_each(|input| sender.send(input).ok())
    })?;
    Ok(receiver)
}

/// Connecting is done here, too: it blocks while the server's queue is full, and Ctrl-C must work meanwhile.
fn listen(endpoint: &Endpoint, sender: &SyncSender<Input>) {
    let (input, reader) = match endpoint.connect() {
        Ok((reader, writer)) => (Ok(writer), Some(reader)),
        Err(error) => (Err(error), None),
    };
    if sender.send(Input::Connected(input)).is_err() {
        return;
    }
    let Some(reader) = reader else { return };
    let mut reader = BufReader::new(reader);
    loop {
        let line = line::read(&mut reader);
        let last = line.is_err();
        if sender.send(Input::Line(line)).is_err() || last {
            return;
        }
    }
}
