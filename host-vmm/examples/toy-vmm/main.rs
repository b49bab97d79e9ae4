// SPDX-License-Identifier: MIT OR Apache-2.0

//! A toy VMM around the crate: connectors, RTAS calls, hot plug events and a monitor, and no processor.
//!
//! What a guest would do comes over QEMU's qtest protocol, what a user does over QMP, each on a Unix socket that this
//! program connects to. `cargo xtask conformance` judges it like any other VMM; `spec/conformance.md` says how to start
//! it, and which devices it has.
//!
//! Files in the order that data flows: the [`memory`] of the guest has the arguments of its [`rtas`] calls, the
//! [`machine`] is the tracker with what a VMM keeps beside it, the hot plug events of the machine become an
//! [`event_log`] and its devices a [`device_tree`], [`saved`] is a machine in a migration, and [`qtest`] and [`monitor`]
//! are its two clients.

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod memory;
mod rtas;

mod machine;

mod device_tree;
mod event_log;
mod saved;

mod monitor;
mod qtest;

use machine::Machine;
use monitor::Monitor;
use std::{
    env,
    error::Error,
    fmt::Display,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::mpsc::{self, Sender},
    thread,
};

/// A line of one of the two clients.
enum Line {
    Qtest(String),
    Monitor(String),
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().collect();
    // Other options describe the machine to QEMU, and are passed over.
    let values = |option: &'static str| {
        let pairs = words.iter().zip(words.iter().skip(1));
        pairs.filter(move |(word, _)| *word == option).map(|(_, value)| value.as_str())
    };
    let connect = |option| {
        let path = values(option).find_map(|value| value.strip_prefix("unix:"));
        Ok::<_, Box<dyn Error>>(UnixStream::connect(path.ok_or(format!("{option} unix:PATH is missing"))?)?)
    };
    let (mut qtest, mut user) = (connect("-qtest")?, connect("-qmp")?);
    let devices = values("-device").filter_map(|value| value.split(',').find_map(|part| part.strip_prefix("id=")));
    let devices: Vec<&str> = devices.collect();

    let (lines, inbox) = mpsc::channel();
    listen(qtest.try_clone()?, lines.clone(), Line::Qtest);
    listen(user.try_clone()?, lines, Line::Monitor);

    let mut machine = Machine::new(&devices)?;
    let mut monitor = Monitor::default();
    send(&mut user, &Monitor::greeting())?;
    // The main loop ends when both clients are gone.
    for line in inbox {
        match line {
            Line::Qtest(line) => send(&mut qtest, &qtest::answer(&mut machine, &line))?,
            Line::Monitor(line) => {
                for message in monitor.answer(&mut machine, &line) {
                    send(&mut user, &message)?;
                }
            }
        }
        // The call of the guest has returned by now, so that no processor loses its device in a call (PUE-V-092).
        for event in machine.work_off()? {
            if let Some(message) = monitor.tell(&event) {
                send(&mut user, &message)?;
            }
        }
    }
    Ok(())
}

/// Sends the lines of a client to the main loop.
fn listen(stream: UnixStream, lines: Sender<Line>, line: fn(String) -> Line) {
    thread::spawn(move || {
        let read = BufReader::new(stream).lines().map_while(Result::ok);
        read.map(line).try_for_each(|line| lines.send(line))
    });
}

/// Sends a line to a client, in one piece.
fn send(stream: &mut UnixStream, line: &impl Display) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}
