// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands of this repository, run as `cargo xtask COMMAND`.
//!
//! Everything that a test or a demonstration boots is an *artifact*: made once from declared inputs, kept in a cache
//! outside the checkout, verified each time it is used. A [`cache::store::Recipe`] says how one is made and from which
//! others:
//!
//! ```text
//! root ──────┬──► source ──┬──► kernel ──┬──► module ──┬──► initramfs
//! download ──┘             ├──► object ──┤    fault ───┤
//! busybox ─────────────────┼─────────────┼─────────────┘
//! root ────────────────────┴─────────────┘
//! root ──► qemu
//! qemu-root ─┬──► qemu-stable-patched ──┬──► qemu-ours
//!            └──► c-library ────────────┘
//! libvirt
//! ```
//!
//! The rooms, in the order that they build on each other: what the user chose ([`settings`]), the machine at hand
//! ([`host`]), steps that take long ([`run`]), the [`cache`], the recipes ([`artifacts`]), and each [`command`].

mod settings;

mod host;

mod run;

mod cache;

mod artifacts;

mod command;

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::BuildHasher as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::artifacts::Artifacts;
use crate::artifacts::debian::kernel::DebianKernel;
use crate::artifacts::flavour::Flavour;
use crate::artifacts::qemu::build::QemuBuild;
use crate::artifacts::qemu::source::Release;
use crate::artifacts::qemu::{OurQemu, bundle};
use crate::cache::store::{Recipe, Store};
use crate::command::differential::Differential;
use crate::command::install::Install;
use crate::command::{
    bench, bisect, clauses, clean, coverage, demo, differential, drill, fuzz, install, instructions, kernels, libvirt,
    model, object, package, reasons, soak, test, wire_targets,
};
use crate::settings::Settings;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make what a guest is booted from, where it is missing, and tell where it is.
    Artifacts {
        /// Print one JSON object with absolute paths.
        #[arg(long)]
        json: bool,
        /// Which kernel.
        #[arg(long, value_enum, default_value_t = Flavour::Default)]
        kernel: Flavour,
    },
    /// Compile the module's Rust for kernels without CONFIG_RUST, and put it where Kbuild looks for it.
    Object,
    /// Make Debian packages of the module, the program and the library, in target/packages.
    Package {
        /// Also install, upgrade and remove them in a guest's Debian, which is emulated, and in a host's.
        #[arg(long)]
        trial: bool,
    },
    /// Show what a host is told when guests refuse, on stock parts and on ours, side by side.
    Demo,
    /// Check format and lints, and run all tests; with arguments for nextest, only nextest.
    Test {
        /// Which kernel the guests boot; with any but the default, only tests that boot one run.
        #[arg(long, value_enum, default_value_t = Flavour::Default)]
        kernel: Flavour,
        /// Passed on to `cargo nextest run`, such as the name of a test.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        nextest: Vec<OsString>,
    },
    /// Check that every requirement of the protocol has evidence, and write the table to target/clauses.md.
    Clauses,
    /// Say which lines of the host crate its tests run.
    Coverage,
    /// Explore the executable model of the protocol; takes --stock, --mutants and --depth.
    Model {
        /// Passed on to the model.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure what was promised about speed and size, beside stock parts; the table is also in target/bench-WHAT.json.
    Bench {
        /// What is measured.
        #[arg(value_enum)]
        what: bench::Bench,
    },
    /// Have a guest under stress asked for CPUs and DIMMs, thousands of times, and see that each request ends once.
    Soak {
        /// For how long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// What decides what happens; at random if it is not given.
        #[arg(long)]
        seed: Option<u64>,
        /// Which kernel.
        #[arg(long, value_enum, default_value_t = Flavour::Debug)]
        kernel: Flavour,
    },
    /// Attack the host crate with random input for a while, and say what of its state machine that reached.
    Fuzz {
        /// How long each target is attacked.
        #[arg(long, default_value_t = 10)]
        minutes: u32,
        /// Only these; all of them if none is named.
        targets: Vec<fuzz::Target>,
    },
    /// Test the wire crate with the oldest and newest zerocopy, on little-endian and emulated big-endian.
    WireTargets,
    /// Build the C library, and install it with its header and pkg-config file.
    Install(Install),
    /// Play the same calls to stock QEMU and to ours, without a guest, and explain every difference.
    Differential(Differential),
    /// Run the conformance tests on Debian's kernels, or on one in PAPR_UNPLUG_KERNEL_TREE, see what stock guests do there, and
    /// say so in target/kernels.json.
    Kernels {
        /// Only these of Debian's; all if none is named.
        only: Vec<DebianKernel>,
        /// Accept the results into tests/kernels.json and docs/kernels.md, instead of running anything
        #[arg(long, conflicts_with = "only")]
        accept: bool,
    },
    /// Provoke every reason on real kernels, and say in target/reasons.json what the host was told.
    Reasons {
        /// Write the results to tests/reasons.json, and docs/reasons.md from them, instead of running anything.
        #[arg(long)]
        accept: bool,
    },
    /// Test what libvirt makes of it: a real daemon, a guest that refuses, and the events that its users get.
    Libvirt,
    /// Build a QEMU from source, and tell where it is.
    Qemu {
        /// Which.
        #[arg(value_enum, default_value_t = Release::Stable)]
        release: Release,
        /// With our patches, and the C library beside it. Otherwise there is nothing of ours in it.
        #[arg(long)]
        ours: bool,
        /// Count the instructions that it takes for a set-indicator call.
        #[arg(long, conflicts_with = "ours")]
        instructions: bool,
        /// Build it after each of our patches instead, with the C library and without, and compare the latter with stock.
        #[arg(long, conflicts_with_all = ["instructions", "ours"])]
        bisect: bool,
    },
    /// Remove artifacts that this checkout no longer uses, and give the disk space back.
    Clean {
        /// Remove all artifacts of one kind instead (such as `kernel`), or `all` of everything.
        what: Option<String>,
    },
    /// Damage the artifacts in the ways of disks, people and power cuts, and expect them to be made again.
    Drill {
        /// Also damage the kernel, which takes minutes to build.
        #[arg(long)]
        slow: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", explained(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let store = Store::open(Settings::from_env()?)?;
    match command {
        Command::Artifacts { json, kernel } => {
            let artifacts = Artifacts::ensure(&store, kernel)?;
            if json {
                println!("{}", serde_json::to_string(&artifacts)?);
            } else {
                print!("{}", listing(&artifacts)?);
            }
        }
        Command::Object => object::run(&store)?,
        Command::Package { trial: false } => package::run(&store)?,
        Command::Package { trial: true } => package::try_them(&store)?,
        Command::Demo => demo::run(&Artifacts::ensure(&store, Flavour::Default)?, &store.progress)?,
        Command::Test { kernel, nextest } => test::run(&store, kernel, &nextest)?,
        Command::Differential(Differential { accept: true, .. }) => differential::accept(&store.settings.checkout)?,
        Command::Differential(arguments) => differential::run(&store, &arguments)?,
        Command::Qemu { release, bisect: true, .. } => bisect::run(&store, release)?,
        Command::Qemu { release, ours, instructions: false, .. } => {
            let (stock, with_ours) = (QemuBuild::stock(release), OurQemu::new(release));
            let qemu = store.ensure(if ours { &with_ours as &dyn Recipe } else { &stock })?;
            println!("{}", qemu.path(bundle::PROGRAM).display());
        }
        Command::Qemu { release, .. } => {
            println!("{:.1}", instructions::per_set_indicator(&store, &QemuBuild::stock(release))?);
        }
        Command::Clauses => clauses::run(&store.settings.checkout)?,
        Command::Model { arguments } => model::run(&store.settings.checkout, &arguments)?,
        Command::Bench { what } => bench::run(&store, what)?,
        Command::Soak { minutes, seed, kernel } => {
            let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(minutes) >> 32);
            soak::run(&Artifacts::ensure(&store, kernel)?, minutes, seed, &store.progress)?;
        }
        Command::Coverage => coverage::run(&store)?,
        Command::Fuzz { minutes, targets } => fuzz::run(&store, minutes, &targets)?,
        Command::WireTargets => wire_targets::run(&store)?,
        Command::Install(install) => install::run(&store, &install)?,
        Command::Kernels { accept: true, .. } => kernels::accept(&store.settings.checkout)?,
        Command::Kernels { only, .. } => kernels::run(&store, &only)?,
        Command::Reasons { accept: true } => reasons::accept(&store.settings.checkout)?,
        Command::Reasons { .. } => reasons::run(&store)?,
        Command::Libvirt => libvirt::run(&store)?,
        Command::Clean { what } => clean::run(&store, what.as_deref())?,
        Command::Drill { slow } => drill::run(&store.progress, slow)?,
    }
    Ok(())
}

/// An error, outermost first, each cause on a line of its own.
fn explained(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\n  because: ")
}

fn listing(artifacts: &Artifacts) -> Result<String> {
    let mut text = String::new();
    if let serde_json::Value::Object(members) = serde_json::to_value(artifacts)? {
        for (name, path) in members {
            text += &format!("{name:<10} {}\n", path.as_str().unwrap_or_default());
        }
    }
    Ok(text)
}
