// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the user wants.

use crate::{endpoint::Endpoint, reason};
use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use clap_complete::Shell;
use std::path::PathBuf;

/// Ask a PAPR guest for a device, and learn what became of it
///
/// A hypervisor cannot take a CPU or a DIMM away from a pseries (PowerPC PAPR) guest: it can only ask, and the guest
/// may refuse. papr-unplug talks to the guest's QEMU over QMP. It asks, shows what the guest answers, and says what can
/// be done about a refusal.
///
/// How much can be known depends on the QEMU and on the guest. With a QEMU and a guest that speak the papr-unplug
/// protocol every request is answered, once, with a reason. With others a refusal comes without a reason, perhaps
/// twice, or not at all; papr-unplug says so.
#[derive(Debug, Parser)]
#[command(name = "papr-unplug", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow a VM: one line for each removal that comes to its end
    ///
    /// Runs until it is interrupted or the VM ends. Whoever asked for the removal, its outcome is shown. A note on standard
    /// error says from when on nothing is missed.
    Watch {
        /// Which VM.
        #[command(flatten)]
        vm: Vm,
        /// Print a JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ask the guest for a device, and wait for the outcome
    ///
    /// Waits as long as the guest takes; there is no timeout, because a guest that is slow and a guest that is stuck
    /// cannot be told apart by waiting. Ctrl-C ends the waiting and not the request, which nobody can take back: the
    /// guest may still give the device back later, or refuse.
    Unplug {
        /// Which VM.
        #[command(flatten)]
        vm: Vm,
        /// Print one JSON object, when it has ended
        #[arg(long)]
        json: bool,
        /// The id that the device was added with, or its QOM path
        device: String,
    },
    /// List the removals that the guest has not answered, and what it has promised to answer
    List {
        /// Which VM.
        #[command(flatten)]
        vm: Vm,
        /// Print one JSON object, as QEMU tells it
        #[arg(long)]
        json: bool,
    },
    /// Say what a reason means and what can be done about it; without one, list them all
    Explain {
        /// Print a JSON object a line
        #[arg(long)]
        json: bool,
        /// The reason's name, or its number
        #[arg(value_parser = reasons())]
        reason: Option<String>,
    },
    /// Print a script that completes command lines
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Manual {
        /// Which
        directory: PathBuf,
    },
}

/// Which VM.
#[derive(Debug, Args)]
pub struct Vm {
    /// The VM's QMP socket: a path, @NAME for an abstract one, or tcp:HOST:PORT
    ///
    /// QEMU opens one with `-qmp unix:PATH,server=on,wait=off`. Each talks to one program at a time; one that libvirt
    /// holds is taken, so give the VM a second one (in libvirt, by <qemu:commandline>).
    #[arg(long, env = "PAPR_UNPLUG_QMP", hide_env_values = true, value_name = "SOCKET")]
    pub qmp: Endpoint,
}

/// Names, for completion and for hints at misspelt ones; and numbers.
fn reasons() -> PossibleValuesParser {
    use clap::builder::PossibleValue;
    let value = |reason: &'static reason::Reason| PossibleValue::new(&*reason.name).alias(reason.number());
    PossibleValuesParser::new(reason::all().iter().map(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
