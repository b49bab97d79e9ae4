// SPDX-License-Identifier: MIT OR Apache-2.0

//! Input queue: lines from the monitor and signals, so that the program waits in one place.

use crate::endpoint::Endpoint;
use anyhow::{Context as _, Result};
use papr_unplug_qmp::line::{self, ReadError};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    io::{BufReader, Write},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

/// Input to the program.
pub enum Input {
    /// The connection is open and can be written to; or it failed.
    Connected(Result<Box<dyn Write + Send>>),
    /// A line from the monitor. An error is the last input.
    Line(Result<String, ReadError>),
    /// A signal that ends the program.
    Signal(i32),
}

/// Lines that are read ahead. A server that sends faster has to wait.
pub const AHEAD: usize = 16;

/// Begins to connect, and returns the queue of inputs.
pub fn begin(endpoint: &Endpoint) -> Result<Receiver<Input>> {
    let (sender, receiver) = mpsc::sync_channel(AHEAD);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    let endpoint = endpoint.clone();
    let of_monitor = sender.clone();
    thread::Builder::new().name("monitor".into()).spawn(move || listen(&endpoint, &of_monitor))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        // The receiver is dropped when the program ends.
        signals.forever().map(Input::Signal).try_for_each(|input| sender.send(input).ok())
    })?;
    Ok(receiver)
}

/// Connects and reads lines. Connecting may block, and Ctrl-C must work meanwhile, so this is a thread of its own.
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
