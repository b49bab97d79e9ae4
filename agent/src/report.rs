// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reports of refusals.

use crate::{journal, kernel::Kernel, rtas};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::Offer,
    reason::Reason,
    report::{Errno, Report},
    token::Token,
};
use std::{env, fs};

/// The variable by which the process that reads the log gives the token of a request to the one that handles it.
pub(crate) const TOKEN: &str = "PAPR_UNPLUG_TOKEN";

/// Tells the hypervisor why a request is refused.
///
/// The guest module reports the refusal of the process that refuses, with its exit status, if nothing has been reported
/// before. A report with a reason comes first, so it is the one that counts.
pub(crate) fn refuse(kernel: &Kernel, connector: DrcIndex, reason: Reason, errno: u8) {
    let token = env::var(TOKEN).ok().and_then(|token| token.parse().ok()).map_or(Token::NONE, Token);
    if token == Token::NONE {
        return;
    }
    if let Err(error) = report(kernel, connector, Report::Refused { token, reason, errno: Errno(errno) }) {
        journal::error(&format!("{connector}: the hypervisor is not told why: {error:#}"));
    }
}

fn report(kernel: &Kernel, connector: DrcIndex, report: Report) -> Result<()> {
    let property = Offer::PROPERTY.to_str()?;
    let offer = fs::read(kernel.proc("device-tree/rtas").join(property)).context("it takes no reports")?;
    let offer = Offer::from_bytes(&offer).context("its offer makes no sense")?;
    let status = rtas::set_indicator(kernel, offer.indicator(), connector, report.word().0)?;
    ensure!(status.is_success(), "status {}", status.0);
    Ok(())
}
