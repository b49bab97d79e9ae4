// SPDX-License-Identifier: MIT OR Apache-2.0

//! Generated parts of Markdown pages.

use anyhow::{Context as _, Result};

/// The last line of a generated part.
const END: &str = "<!-- End of what is generated. -->\n";

/// Returns `page` with `generated` between the line `begin` and the next [`END`].
pub(crate) fn replaced(page: &str, begin: &str, generated: &str) -> Result<String> {
    let (before, rest) =
        page.split_once(begin).with_context(|| format!("the page has no line {}", begin.trim_end()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("the page has no line {}", END.trim_end()))?;
    Ok(format!("{before}{begin}\n{generated}\n{END}{after}"))
}
