// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests and VMMs that are judged, and the report of the verdicts.

use crate::{
    bench::Bench,
    clause::Half,
    conversations, rules, scenario,
    toy::Toy,
    verdict::{self, Verdicts},
    vm::{GuestDir, Vm, WithOffer},
};
use anyhow::{Context as _, Result};
use papr_unplug_differential::program::Program;
use papr_unplug_tests::artifacts::Artifacts;
use std::{fs, path::PathBuf};

/// Guest or VMM to judge, with its name.
#[derive(Debug)]
pub enum Subject {
    /// A guest.
    Guest(String, GuestDir),
    /// A VMM.
    Vmm(String, Program),
    /// The toy guest.
    ToyGuest,
}

/// Form of the report.
#[derive(Debug, clap::Args)]
pub struct Report {
    /// Also write the verdicts to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print tables, as in spec/conformance.md, instead of a line for each clause
    #[arg(long)]
    table: bool,
}

impl Subject {
    fn judge(&self, artifacts: &Artifacts) -> Result<Verdicts> {
        match self {
            Self::Guest(about, dir) => guest(artifacts, dir, about),
            Self::Vmm(about, program) => vmm(program, about),
            Self::ToyGuest => toy(),
        }
    }

    /// Returns what it is and how it is named.
    fn title(&self) -> String {
        match self {
            Self::Guest(about, _) => format!("guest ({about})"),
            Self::Vmm(about, _) => format!("VMM ({about})"),
            Self::ToyGuest => "toy guest".to_owned(),
        }
    }
}

impl Report {
    /// Judges guests and VMMs, and prints the verdicts, those about guests first. Returns whether any clause has failed.
    pub fn of(&self, artifacts: &Artifacts, subjects: &[Subject], say: &dyn Fn(&str)) -> Result<bool> {
        let (mut guests, mut vmms) = (Vec::new(), Vec::new());
        for subject in subjects {
            say(&format!("==> {}", subject.title()));
            let half = if matches!(subject, Subject::Vmm(..)) { &mut vmms } else { &mut guests };
            half.push(subject.judge(artifacts)?);
        }
        let all: Vec<&Verdicts> = guests.iter().chain(&vmms).collect();
        if self.table {
            println!("{}\n{}", verdict::table(&guests), verdict::table(&vmms));
        } else {
            all.iter().for_each(|verdicts| println!("{verdicts}\n"));
        }
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(&all)? + "\n";
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(all.iter().any(|verdicts| verdicts.has_failed()))
    }
}

/// Judges a guest, which is named `about`.
pub fn guest(artifacts: &Artifacts, dir: &GuestDir, about: &str) -> Result<Verdicts> {
    of_benches(about, |offer| {
        let name = if offer == WithOffer::Yes { "offered" } else { "not-offered" };
        Vm::boot(artifacts, dir, offer, &format!("conformance.{about}.{name}"))
    })
}

/// Judges the toy guest.
pub fn toy() -> Result<Verdicts> {
    of_benches("toy guest", |offer| Ok(Toy::boot(offer)))
}

/// Judges a VMM, which is named `about`.
pub fn vmm(program: &Program, about: &str) -> Result<Verdicts> {
    Verdicts::of(Half::Vmm, about, conversations::judge(program)?)
}

fn of_benches<B: Bench>(about: &str, boot: impl Fn(WithOffer) -> Result<B>) -> Result<Verdicts> {
    let with_offer = || {
        let mut bench = boot(WithOffer::Yes)?;
        scenario::with_offer(&mut bench)?;
        bench.finish()
    };
    let without_offer = || {
        let mut bench = boot(WithOffer::No)?;
        scenario::without_offer(&mut bench)?;
        bench.finish()
    };
    let transcripts = [
        ("a guest that is offered to report", with_offer().context("of a guest that is offered to report")?),
        ("a guest without an offer", without_offer().context("of a guest without an offer")?),
    ];
    Verdicts::of(Half::Guest, about, rules::judge(&transcripts))
}
