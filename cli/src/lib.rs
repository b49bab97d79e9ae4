// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a person at a terminal does about devices that a PAPR guest is to give back: ask, follow, list, understand.
//!
//! The modules, in the order that data flows: what the user wants ([`arguments`]), where the VM's monitor is
//! ([`endpoint`]), what comes in from there and from the terminal ([`input`]), the talk with the monitor ([`monitor`]),
//! what it says and in which words ([`schema`], [`reason`]), what that means ([`outcome`]), each command, what the user
//! sees meanwhile ([`notes`]) and without surprises ([`plain`]), how it ends ([`ending`]), and the [`manual`].
//!
//! No command has a timeout: a guest that is slow and a guest that is stuck cannot be told apart by waiting.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod endpoint;
pub mod input;
pub mod monitor;

pub mod reason;
pub mod schema;

pub mod outcome;

pub mod explain;
pub mod list;
pub mod unplug;
pub mod watch;

pub mod notes;
pub mod plain;

pub mod ending;
pub mod manual;

use crate::{
    arguments::{Arguments, Command},
    ending::Ending,
};
use anyhow::Result;
use std::{io, process::ExitCode};

/// Does what the user asks for, and says how it ended.
pub fn run(arguments: Arguments) -> ExitCode {
    let mut out = io::stdout().lock();
    let ended = perform(arguments.command, &mut out).or_else(Ending::of_error);
    match ended {
        Ok(ending) => ending.into(),
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("papr-unplug: {}", causes.join("\n  because: "));
            Ending::Failed.into()
        }
    }
}

fn perform(command: Command, out: &mut dyn io::Write) -> Result<Ending> {
    match command {
        Command::Watch { vm, json } => watch::run(&vm.qmp, json, out),
        Command::Unplug { vm, json, device } => unplug::run(&vm.qmp, json, &device, out),
        Command::List { vm, json } => list::run(&vm.qmp, json, out),
        Command::Explain { json, reason } => explain::run(reason.as_deref(), json, out),
        Command::Completions { shell } => manual::completions(shell, out),
        Command::Manual { directory } => manual::write(&directory),
    }
}
