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
use std::{env, fs, process};

/// The variable by which the process that reads the log gives the token of a request to the one that handles it.
pub(crate) const TOKEN: &str = "PAPR_UNPLUG_TOKEN";

/// The file of the guest module with a line for each request that user space has.
const HANDOVER: &str = "kernel/debug/papr_unplug/handover";

/// Tells the hypervisor why a request is refused.
///
/// The guest module reports the refusal of the process that refuses, with its exit status, if nothing has been reported
/// before. A report with a reason comes first, so it is the one that counts.
pub(crate) fn refuse(kernel: &Kernel, connector: DrcIndex, reason: Reason, errno: u8) {
    let Some(token) = own_token(kernel) else { return };
    if let Err(error) = report(kernel, connector, Report::Refused { token, reason, errno: Errno(errno) }) {
        journal::error(&format!("{connector}: the hypervisor is not told why: {error:#}"));
    }
}

/// Returns the token of the request that this process handles: from the process that has read the event, or from the
/// guest module.
fn own_token(kernel: &Kernel) -> Option<Token> {
    let given = env::var(TOKEN).ok().and_then(|token| token.parse().ok());
    let noted = || token_of(&fs::read_to_string(kernel.sys(HANDOVER)).ok()?, process::id());
    given.or_else(noted).map(Token).filter(|token| *token != Token::NONE)
}

/// Returns the token in the line of the request for which a process was started.
fn token_of(lines: &str, process: u32) -> Option<u16> {
    let member = |line: &str, name: &str| -> Option<String> {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.to_owned())
    };
    let process = process.to_string();
    let line = lines.lines().find(|line| member(line, "child").as_ref() == Some(&process))?;
    u16::from_str_radix(member(line, "token")?.strip_prefix("0x")?, 16).ok()
}

fn report(kernel: &Kernel, connector: DrcIndex, report: Report) -> Result<()> {
    let property = Offer::PROPERTY.to_str()?;
    let offer = fs::read(kernel.proc("device-tree/rtas").join(property)).context("it takes no reports")?;
    let offer = Offer::from_bytes(&offer).context("its offer makes no sense")?;
    let status = rtas::set_indicator(kernel, offer.indicator(), connector, report.word().0)?;
    ensure!(status.is_success(), "status {}", status.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_that_of_the_own_line() {
        let lines = "resource=pci connector=0x40000008 token=0x0007 place=log\n\
                     resource=pci connector=0x40000010 token=0x0a09 place=process reader=80 child=81\n\
                     resource=phb connector=0x20000001 place=process reader=80 child=82\n";
        assert_eq!(token_of(lines, 81), Some(0x0a09));
        assert_eq!(token_of(lines, 82), None);
        assert_eq!(token_of(lines, 8), None);
    }
}
