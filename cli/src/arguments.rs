// SPDX-License-Identifier: MIT OR Apache-2.0

//! Command line arguments.

use crate::{completion, domain::DomainName, endpoint::Endpoint, reason};
use clap::{
    Args, CommandFactory as _, Parser, Subcommand,
    builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser as _},
    error::ErrorKind,
};
use clap_complete::{ArgValueCompleter, Shell};
use std::{env, path::PathBuf, time::Duration};

/// Environment variable with the name of a domain, for want of `--domain`.
const DOMAIN: &str = "PAPR_UNPLUG_DOMAIN";
/// Environment variable with the address of a QMP server, for want of `--qmp`.
const QMP: &str = "PAPR_UNPLUG_QMP";

/// Ask a PAPR guest for a device, and show the outcome
///
/// A hypervisor cannot take a CPU or a DIMM away from a pseries (PowerPC PAPR) guest: it can only ask, and the guest
/// may refuse. papr-unplug connects to the guest's QEMU through libvirt or over QMP. It asks for a device, shows the
/// guest's answer, and explains what can be done about a refusal.
///
/// The QEMU and the guest determine how much can be known. If both implement the papr-unplug protocol, every request
/// is answered once, with a reason. Otherwise a refusal arrives without a reason, possibly twice, or not at all;
/// papr-unplug says so.
#[derive(Debug, Parser)]
#[command(name = "papr-unplug", version, max_term_width = 100)]
pub struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow a VM: print one line for each removal that ends
    ///
    /// Runs until it is interrupted or the VM ends. Shows the outcomes of all requests, also of those that other
    /// programs made. A note on standard error marks the moment from which on no outcome is missed.
    Watch {
        /// The VM.
        #[command(flatten)]
        vm: Vm,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Ask the guest for devices, and wait for the outcomes
    ///
    /// Waits as long as the guest takes, because waiting cannot tell a slow guest from a stuck one. Ctrl-C or --timeout
    /// end the wait but not the request: the guest may still give the device back later, or refuse. With several
    /// devices, the exit status is that of the first one that was not released.
    Unplug {
        /// The VM.
        #[command(flatten)]
        vm: Vm,
        /// Print one JSON object for each device
        #[arg(long)]
        json: bool,
        /// Give up the wait after this time, such as 30s or 5min; the request stays pending
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
        /// Ask, and do not wait
        #[arg(long, conflicts_with = "timeout")]
        no_wait: bool,
        /// The ids that the devices were added with, or their QOM paths
        #[arg(required = true, value_name = "DEVICE", add = ArgValueCompleter::new(completion::devices))]
        devices: Vec<String>,
    },
    /// Wait for the outcome of a request that was made before
    ///
    /// The request may be another program's. An outcome of the past is shown if the VM still lists it.
    Wait {
        /// The VM.
        #[command(flatten)]
        vm: Vm,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Give up the wait after this time, such as 30s or 5min; the request stays pending
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
        /// The request's number, which `list`, `watch` and `unplug` show
        request: u64,
    },
    /// Withdraw a pending request
    ///
    /// The request ends as withdrawn. The guest may have been asked already: if it gives the device back later, the
    /// device is deleted all the same.
    Withdraw {
        /// The VM.
        #[command(flatten)]
        vm: Vm,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// The request's number, which `list`, `watch` and `unplug` show
        request: u64,
    },
    /// List the pending removals, and which ones the guest has promised to answer
    List {
        /// The VM.
        #[command(flatten)]
        vm: Vm,
        /// Print the JSON object that QEMU returns
        #[arg(long)]
        json: bool,
        /// List the latest outcomes as well
        #[arg(long)]
        outcomes: bool,
    },
    /// Explain a reason and what can be done about it; without one, list all reasons
    Explain {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        /// The reason's name or number
        #[arg(value_parser = reasons())]
        reason: Option<String>,
    },
    /// Print a completion script for a shell
    ///
    /// The script asks this program, which knows the devices of the VM that the command line names.
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages to a directory
    #[command(hide = true)]
    Manual {
        /// The directory
        directory: PathBuf,
    },
}

/// The VM to connect to.
#[derive(Debug, Args)]
pub struct Vm {
    /// The VM's domain in libvirt: its name or UUID [env: PAPR_UNPLUG_DOMAIN]
    ///
    /// The domain may be one that runs already. It needs no other monitor, and any number of programs can follow it.
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// The URI of the libvirt that has the domain; as virsh's
    #[arg(long, value_name = "URI", conflicts_with = "qmp")]
    connect: Option<String>,
    /// The VM's QMP socket: a path, @NAME for an abstract one, or tcp:HOST:PORT [env: PAPR_UNPLUG_QMP]
    ///
    /// QEMU opens one with `-qmp unix:PATH,server=on,wait=off`. A socket serves one program at a time. libvirt keeps
    /// the socket that it opened; use --domain for its VMs.
    #[arg(long, value_name = "SOCKET", conflicts_with = "domain",
        value_parser = OsStringValueParser::new().try_map(Endpoint::try_from))]
    qmp: Option<Endpoint>,
}

impl Vm {
    /// Returns the VM's address. What the command line says is stronger than the environment.
    pub fn endpoint(self) -> Result<Endpoint, clap::Error> {
        let Self { domain, connect, qmp } = self;
        let invalid = |kind, text: &str| Arguments::command().error(kind, text);
        let of = |name| Endpoint::Domain(DomainName { uri: connect.clone(), name });
        if let Some(endpoint) = qmp.or_else(|| domain.map(of)) {
            return Ok(endpoint);
        }
        let domain = env::var_os(DOMAIN).filter(|name| !name.is_empty());
        let qmp = env::var_os(QMP).filter(|address| !address.is_empty() && connect.is_none());
        match (domain, qmp) {
            (Some(_), Some(_)) => Err(invalid(
                ErrorKind::ArgumentConflict,
                &format!("{DOMAIN} and {QMP} name two VMs: unset one, or say --domain or --qmp"),
            )),
            (Some(name), None) => match name.into_string() {
                Ok(name) => Ok(of(name)),
                Err(_) => Err(invalid(ErrorKind::InvalidUtf8, &format!("{DOMAIN} is not UTF-8"))),
            },
            (None, Some(address)) => Endpoint::try_from(address)
                .map_err(|error| invalid(ErrorKind::ValueValidation, &format!("{QMP}: {error}"))),
            (None, None) => Err(invalid(
                ErrorKind::MissingRequiredArgument,
                "no VM is named: say --domain NAME for a domain of libvirt's, or --qmp SOCKET for another VM",
            )),
        }
    }
}

/// Returns a parser for the names and numbers of reasons. Clap completes the names and suggests one for a misspelt
/// name.
fn reasons() -> PossibleValuesParser {
    use clap::builder::PossibleValue;
    let value = |reason: &'static reason::Reason| PossibleValue::new(&*reason.name).alias(reason.number());
    PossibleValuesParser::new(reason::all().iter().map(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
