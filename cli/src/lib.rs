// SPDX-License-Identifier: MIT OR Apache-2.0

//! Command line program that asks a PAPR guest for devices over QMP, follows and lists removals, and explains reasons.
//!
//! The modules, in the order that data flows: command line ([`arguments`]), the monitor's address ([`endpoint`]), lines
//! and signals ([`input`]), the QMP connection ([`monitor`]), QAPI members and reasons ([`schema`], [`reason`]), the
//! outcome of a removal ([`outcome`]), one module for each command, standard error ([`notes`]), escaping of text from
//! elsewhere ([`escape`]), the [exit status](exit_status), and the [`manual`].
//!
//! No command has a timeout, because waiting cannot tell a slow guest from a stuck one.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod bridge;
pub mod device;
pub mod domain;
pub mod endpoint;
pub mod input;
pub mod monitor;

pub mod reason;
pub mod schema;

pub mod end;
pub mod history;
pub mod outcome;
pub mod outcome_kind;
pub mod removal;

pub mod explain;
pub mod list;
pub mod unplug;
pub mod wait;
pub mod watch;
pub mod withdraw;

pub mod escape;
pub mod notes;

pub mod completion;
pub mod exit_status;
pub mod manual;

use crate::{
    arguments::{Arguments, Command, Vm},
    end::Interruption,
    endpoint::Endpoint,
    escape::escaped,
    exit_status::ExitStatus,
    wait::Patience,
};
use anyhow::Result;
use std::{io, process::ExitCode};

/// Runs a command and returns its exit status.
pub fn run(arguments: Arguments) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = perform(arguments.command, &mut out).or_else(ExitStatus::of_error);
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            let causes: Vec<String> = error.chain().map(|cause| escaped(&cause.to_string())).collect();
            eprintln!("papr-unplug: {}", causes.join("\n  because: "));
            ExitStatus::Failed.into()
        }
    }
}

fn perform(command: Command, out: &mut dyn io::Write) -> Result<ExitStatus> {
    match command {
        Command::Watch { vm, json } => watch::run(&address(vm), json, out),
        Command::Unplug { vm, json, timeout, no_wait, devices } => {
            let patience = if no_wait { Patience::Ended(Interruption::NoWait) } else { Patience::within(timeout) };
            unplug::run(&address(vm), json, patience, &devices, out)
        }
        Command::Wait { vm, json, timeout, request } => {
            wait::run(&address(vm), json, Patience::within(timeout), request, out)
        }
        Command::Withdraw { vm, json, request } => withdraw::run(&address(vm), json, request, out),
        Command::List { vm, json, outcomes } => list::run(&address(vm), json, outcomes, out),
        Command::Explain { json, reason } => explain::run(reason.as_deref(), json, out),
        Command::Completions { shell } => completion::script(shell, out),
        Command::Manual { directory } => manual::write(&directory),
    }
}

/// Returns the address of a VM, or ends the program with what is wrong with the command line.
fn address(vm: Vm) -> Endpoint {
    vm.endpoint().unwrap_or_else(|error| error.exit())
}
