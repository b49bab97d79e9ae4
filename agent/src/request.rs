// SPDX-License-Identifier: MIT OR Apache-2.0

//! Handling of one request.

use crate::{
    claim::Claim,
    command_line::CommandLine,
    configuration::{Configuration, Removal},
    function::Function,
    journal,
    kernel::Kernel,
    lock::{self, Lock},
    removal::{self, Failure},
    report,
    usage::Usage,
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::{Action, Resource},
    reason::Reason,
};
use std::{
    ffi::OsString,
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Error numbers, as Linux has them.
const EPERM: u8 = 1;
const EBUSY: u8 = 16;

/// Exit status if there is no `drmgr` to start, as a shell has it.
const NOT_FOUND: u8 = 127;

/// Handles the request that a command line of `drmgr` asks for. Returns if it was refused or has been carried out, and
/// otherwise continues as `drmgr`.
pub(crate) fn handle(kernel: &Kernel, configuration: &Configuration, words: Vec<OsString>) -> ExitCode {
    let line = CommandLine::read(words);
    let outcome = match line {
        CommandLine { action: Some(Action::REMOVE), resource: Some(resource), connector: Some(connector), .. } => {
            remove(kernel, configuration, resource, connector).map_err(|failure| (connector, failure))
        }
        _ => Ok(Next::Drmgr(Lock::take(Path::new(lock::FILE)).ok(), Vec::new())),
    };
    match outcome {
        Ok(Next::Done) => ExitCode::SUCCESS,
        Ok(Next::Drmgr(_lock, _claims)) => continue_as_drmgr(configuration, &line.words),
        Err((connector, failure)) => {
            report::refuse(kernel, connector, failure.reason, failure.errno);
            journal::notice(&format!("{connector} is not given back ({}): {}", failure.reason, failure.text));
            ExitCode::from(failure.errno.max(1))
        }
    }
}

/// The rest of the work on a request.
enum Next {
    /// Nothing.
    Done,
    /// All of it, with the lock if it could be taken, and with the disks that nobody may begin to use.
    Drmgr(Option<Lock>, Vec<Claim>),
}

fn remove(
    kernel: &Kernel,
    configuration: &Configuration,
    resource: Resource,
    connector: DrcIndex,
) -> Result<Next, Failure> {
    // Before the wait for the lock, to refuse at once; and after it, because the wait may be long.
    drop(claim(kernel, configuration, &Function::of(kernel, connector))?);
    let lock = Lock::take(Path::new(lock::FILE)).map_err(|error| Failure {
        reason: Reason::BUSY,
        errno: error.raw_os_error().try_into().unwrap_or_default(),
        text: format!("{} cannot be locked: {error}", lock::FILE),
    })?;
    let functions = Function::of(kernel, connector);
    let claims = claim(kernel, configuration, &functions)?;

    let drmgr = drmgr(configuration);
    let wants_drmgr = configuration.removal == Removal::Drmgr && drmgr.is_some();
    let is_one = resource == Resource::PCI && functions.len() <= 1;
    if !is_one || wants_drmgr || !removal::is_possible(kernel, connector) {
        return Ok(Next::Drmgr(Some(lock), claims));
    }
    let function = functions.first();
    removal::remove(kernel, function, connector, claims)?;
    let address = function.map_or("no device", |function| &function.address);
    journal::info(&format!("{connector} ({address}) is given back"));
    Ok(Next::Done)
}

/// Claims the disks of functions. Returns an error if one is to be kept: the administrator forbids it, or it is in use.
fn claim(kernel: &Kernel, configuration: &Configuration, functions: &[Function]) -> Result<Vec<Claim>, Failure> {
    if let Some(Function { address, .. }) = functions.iter().find(|one| configuration.keep.contains(&one.address)) {
        let text = format!("the configuration keeps {address}");
        return Err(Failure { reason: Reason::POLICY, errno: EPERM, text });
    }
    if configuration.release_in_use {
        return Ok(Vec::new());
    }
    let claims = Usage::of(kernel, functions).map_or_else(|| Claim::all(kernel, functions), Err);
    claims.map_err(|usage| Failure { reason: Reason::IN_USE, errno: EBUSY, text: usage.to_string() })
}

/// Returns the path of `drmgr`, if it is there and not this program in its place.
fn drmgr(configuration: &Configuration) -> Option<&PathBuf> {
    let file = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let own = file(Path::new("/proc/self/exe"));
    configuration.drmgr.iter().find(|path| file(path).is_some_and(|file| Some(file) != own))
}

/// Continues as `drmgr`, which keeps the lock. Returns if that cannot be started.
fn continue_as_drmgr(configuration: &Configuration, words: &[OsString]) -> ExitCode {
    let Some(program) = drmgr(configuration) else {
        journal::error("there is no drmgr, which this request needs");
        return ExitCode::from(NOT_FOUND);
    };
    let error = Command::new(program).arg0("drmgr").args(words).exec();
    journal::error(&format!("{} cannot be started: {error}", program.display()));
    ExitCode::from(NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_does_not_continue_as_itself() {
        let directory = tempfile::tempdir().unwrap();
        let (itself, real) = (directory.path().join("itself"), directory.path().join("drmgr"));
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &itself).unwrap();
        let configuration = Configuration { drmgr: vec![itself, real.clone()], ..Configuration::default() };
        assert_eq!(drmgr(&configuration), None);
        fs::write(&real, "").unwrap();
        assert_eq!(drmgr(&configuration), Some(&real));
    }
}
