// SPDX-License-Identifier: MIT OR Apache-2.0

//! Verdicts about a guest and about a VMM.

use crate::{
    bench::Bench,
    clause::Half,
    conversations, rules, scenario,
    toy::Toy,
    verdict::Verdicts,
    vm::{GuestDir, Vm, WithOffer},
};
use anyhow::{Context as _, Result};
use papr_unplug_differential::program::Program;
use papr_unplug_tests::artifacts::Artifacts;

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
