// SPDX-License-Identifier: MIT OR Apache-2.0

//! The commands of this repository, run as `cargo xtask COMMAND`.
//!
//! Everything that a test or a demonstration boots is an *artifact*: made once from declared inputs, kept in a cache
//! outside the checkout, and verified each time it is used. A [`cache::Recipe`] names the inputs and the
//! artifacts that it is made from:
//!
//! ```text
//! root ──────┬──► source ──┬──► kernel ──┬──► module ──┬──► initramfs
//! download ──┘             ├──► object ──┤    fault ───┤
//! busybox ─────────────────┼─────────────┼─────────────┘
//! root ────────────────────┴─────────────┘
//! root ──► qemu
//! qemu-root ─┬──► qemu-stable-patched ──┬──► qemu-ours
//!            └──► c-library ────────────┘
//! ```
//!
//! Each module below uses only those above it.

/// Settings of the user.
mod settings;

/// Running commands: machine, sandbox, log, apt.
mod run;

/// Cache of artifacts.
mod cache;

/// Debian systems to build in.
mod roots;

/// Artifacts that guests are booted from, and their recipes.
mod artifacts;

/// The commands.
mod command;

use crate::{
    artifacts::{
        Artifacts,
        c_library::Install,
        debian_kernel::DebianKernel,
        flavour::Flavour,
        guest_kernel::GuestKernel,
        libvirt::Libvirt,
        object::{self, object},
        qemu::Qemu,
        source::Release,
    },
    cache::Store,
    command::{
        bench, bisect, clean,
        conformance::{self, Conformance},
        coverage, demo,
        differential::{self, Differential},
        drill, fuzz, kernels, libvirt, newcomer,
        package::{self, Format},
        pci, portability, reasons, release, soak,
        test::{self, Accel},
    },
    settings::Settings,
};
use anyhow::Result;
use clap::{Parser, Subcommand};
use papr_unplug_differential::histories::Histories;
use papr_unplug_report as report;
use std::{collections::hash_map::RandomState, ffi::OsString, hash::BuildHasher as _, process::ExitCode};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make what guests are booted from, unless it is there, and print the paths
    Artifacts {
        /// Print one JSON object with absolute paths
        #[arg(long)]
        json: bool,
        /// The kernel
        #[arg(long, value_enum, default_value_t = Flavour::Default)]
        kernel: Flavour,
    },
    /// Compile the module's Rust for kernels without CONFIG_RUST, into guest-module/, where Kbuild looks for it
    Object,
    /// Make Debian packages of the module, the programs and the library, in target/packages
    Package {
        /// Make RPM packages instead, and check them with rpmlint
        #[arg(long)]
        rpm: bool,
        /// Also install, upgrade and remove them in the Debian of a guest, which is emulated, and of a host
        #[arg(long)]
        trial: bool,
    },
    /// Show what a host is told when guests refuse, with stock parts and with ours
    Demo {
        /// Ask for PCI devices of guests that have Debian's kernel and its programs
        #[arg(long)]
        pci: bool,
        /// The kernel of guests without the module that are shown beside stock ones, such as one that answers by itself
        #[arg(long, value_enum, default_value_t = Flavour::Default, conflicts_with = "pci")]
        kernel: Flavour,
        /// The accelerator of the guests
        #[arg(long, value_enum, default_value_t = Accel::Tcg, conflicts_with = "pci")]
        accel: Accel,
    },
    /// Check format and lints, and run all tests; with arguments for nextest, run only nextest
    Test {
        /// The kernel that guests boot; with another than the default, only tests that boot it are run
        #[arg(long, value_enum, default_value_t = Flavour::Default)]
        kernel: Flavour,
        /// The accelerator; with another than TCG, only tests that boot guests are run
        #[arg(long, value_enum, default_value_t = Accel::Tcg)]
        accel: Accel,
        /// Arguments for `cargo nextest run`, such as the name of a test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        nextest: Vec<OsString>,
    },
    /// Judge any guest and any VMM by the clauses of the specification, from outside
    Conformance(Conformance),
    /// Print the lines of the host crate that its tests run
    Coverage,
    /// Measure speed and size, and compare with targets and stock parts; also writes target/bench-PART.json
    Bench {
        /// The part to measure
        #[arg(value_enum)]
        part: bench::Bench,
    },
    /// Ask a guest under stress for CPUs and DIMMs thousands of times, and check that each request ends once
    Soak {
        /// The duration
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// The seed of all choices, to repeat a run; by default a random one
        #[arg(long)]
        seed: Option<u64>,
        /// The kernel: one that `cargo xtask test` or `cargo xtask kernels` takes
        #[arg(long, default_value = "debug")]
        kernel: String,
        /// Boot guests with four CPUs, all under load, instead of one
        #[arg(long)]
        smp: bool,
    },
    /// Fuzz the host crate, and print the states that it reached
    Fuzz {
        /// The duration for each target
        #[arg(long, default_value_t = 10)]
        minutes: u32,
        /// The targets; by default all
        targets: Vec<fuzz::Target>,
    },
    /// Test the crates that others compile: wire with the oldest and newest zerocopy, on little-endian and emulated
    /// big-endian machines; wire, host crate and C library with the Rust of Debian's stable release; the C library as a
    /// Meson subproject, and its ABI
    Portability,
    /// Make everything that a release consists of from the last commit, in target/releases: sources, crates, the module's
    /// object, packages, notes and checksums
    Release {
        /// Take the changes that CHANGELOG.md calls unreleased for those of the release
        #[arg(long)]
        rehearsal: bool,
    },
    /// Build the C library, and install it with its header and pkg-config file
    Install(Install),
    /// Play the same calls to stock QEMU and to ours, without a guest, and compare the answers
    Differential(Differential),
    /// Play long random histories with loads in the middle to the crate and to our QEMU, and account for every request
    Histories(Histories),
    /// Run tests on Debian's kernels, or on the one in PAPR_UNPLUG_KERNEL_TREE, and compare with what stock guests do
    /// there; writes target/kernels.json
    Kernels {
        /// Kernels of Debian; by default all
        only: Vec<DebianKernel>,
        /// Accept the results into tests/kernels.json and docs/kernels.md, instead of running anything
        #[arg(long, conflicts_with = "only")]
        accept: bool,
        /// Name the distribution whose source the kernel in PAPR_UNPLUG_KERNEL_TREE is built from, such as `Ubuntu 22.04`
        #[arg(long, value_name = "NAME", conflicts_with_all = ["only", "accept"])]
        of: Option<String>,
    },
    /// Trigger every reason on real kernels, and write to target/reasons.json what the host was told
    Reasons {
        /// Instead of running tests, take the results over into tests/reasons.json and docs/reasons.md
        #[arg(long)]
        accept: bool,
    },
    /// Run the tests with libvirt: a daemon, guests that refuse, and what libvirt's users and this project's get
    Libvirt {
        /// Use the libvirt of Debian's stable release, built from source, instead of Debian's newest
        #[arg(long, value_name = "BUILD")]
        built: Option<Libvirt>,
        /// Instead of the tests, ask for a CPU this many times that is refused each time, with both builds, and print how
        /// long `virsh` takes to say so
        #[arg(long, value_name = "N", conflicts_with = "built")]
        refusals: Option<usize>,
    },
    /// Type the README's commands into a Debian that boots with systemd and into a host's root: the packages are installed,
    /// a refusal is told, and the packages are removed
    Newcomer,
    /// Run the tests about PCI devices, with Debian's kernel and its programs
    Pci {
        /// The kernel; one that `cargo xtask test --kernel` or `cargo xtask kernels` knows
        #[arg(long, default_value = "forky")]
        kernel: String,
        /// Filters for `cargo nextest run`, such as the name of a test
        filters: Vec<String>,
    },
    /// Build a QEMU from source, and print its path
    Qemu {
        /// The release
        #[arg(value_enum, default_value_t = Release::Stable)]
        release: Release,
        /// Apply our patches, and add the C library
        #[arg(long)]
        ours: bool,
        /// Build it for POWER hosts, with KVM: the stable release only
        #[arg(long, requires = "ours")]
        power: bool,
        /// Apply those of our patches that need no library, and run the qtest that comes with them
        #[arg(long, conflicts_with = "ours")]
        fixes: bool,
        /// Instead, build it after each of our patches, with the C library and without, and compare the latter with
        /// stock
        #[arg(long, conflicts_with_all = ["ours", "fixes"])]
        bisect: bool,
    },
    /// Remove artifacts that this checkout no longer uses
    Clean {
        /// Remove all artifacts of this kind instead, such as `kernel`, or everything for `all`
        what: Option<String>,
    },
    /// Damage artifacts in the ways that disks, people and power cuts do, and expect them to be made again
    Drill {
        /// Also damage the kernel, which takes minutes to build
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
                print!("{}", artifacts.listing());
            }
        }
        Command::Object => object::stage(&store.ensure(&object())?, &store.settings.checkout)?,
        Command::Package { rpm, trial } => {
            let format = if rpm { Format::Rpm } else { Format::Deb };
            if trial { package::try_them(&store, format)? } else { package::run(&store, format)? }
        }
        Command::Demo { pci, kernel, accel } => demo::run(&store, pci, kernel, accel)?,
        Command::Test { kernel, accel, nextest } => test::run(&store, kernel, accel, &nextest)?,
        Command::Differential(arguments) => differential::run(&store, &arguments)?,
        Command::Histories(histories) => differential::histories(&store, &histories)?,
        Command::Qemu { release, bisect: true, .. } => bisect::run(&store, release)?,
        Command::Qemu { release, ours, power, fixes, .. } => {
            let qemu = match (ours, fixes) {
                (true, _) if power => Qemu::OursOnPower,
                (true, _) => Qemu::Ours(release),
                (_, true) => Qemu::Fixed(release),
                _ => Qemu::Stock(release),
            };
            println!("{}", store.ensure(&qemu.recipe())?.file().display());
        }
        Command::Bench { part } => bench::run(&store, part)?,
        Command::Soak { minutes, seed, kernel, smp } => {
            let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(minutes) >> 32);
            soak::run(&store, &GuestKernel::named(&kernel, &store.settings)?, smp, minutes, seed)?;
        }
        Command::Conformance(arguments) => conformance::run(&store, &arguments)?,
        Command::Coverage => coverage::run(&store)?,
        Command::Fuzz { minutes, targets } => fuzz::run(&store, minutes, &targets)?,
        Command::Portability => portability::run(&store)?,
        Command::Release { rehearsal } => release::run(&store, rehearsal)?,
        Command::Install(install) => {
            install.run(&store.settings.checkout, &store.log("install")?, None)?;
            let found = install.prefix.join(&install.libdir).join("pkgconfig");
            store.progress.say(format!("    pkg-config finds papr-unplug with PKG_CONFIG_PATH={}", found.display()));
        }
        Command::Kernels { accept: true, .. } => report::kernels::accept(&store.settings.checkout)?,
        Command::Kernels { only, of, .. } => kernels::run(&store, &only, of.as_deref())?,
        Command::Reasons { accept: true } => report::reasons::accept(&store.settings.checkout)?,
        Command::Reasons { .. } => reasons::run(&store)?,
        Command::Libvirt { refusals: Some(number), .. } => libvirt::time(&store, number)?,
        Command::Libvirt { built, .. } => libvirt::run(&store, built)?,
        Command::Newcomer => newcomer::run(&store)?,
        Command::Pci { kernel, filters } => pci::run(&store, &GuestKernel::named(&kernel, &store.settings)?, &filters)?,
        Command::Clean { what } => clean::run(&store, what.as_deref())?,
        Command::Drill { slow } => drill::run(&store.progress, slow)?,
    }
    Ok(())
}

/// Returns an error and its causes, each on a line of its own.
fn explained(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\n  because: ")
}
