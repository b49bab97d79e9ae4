// SPDX-License-Identifier: MIT OR Apache-2.0

//! What reasons mean, from `spec/reasons.toml`.

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Why a guest refuses.
#[derive(Debug, Deserialize, Serialize)]
pub struct Reason {
    /// The number that travels.
    pub code: u64,
    /// The name that QEMU tells.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// The resource classes it occurs with.
    pub classes: Vec<String>,
    /// The error numbers seen with it, on Linux.
    pub errno: Vec<String>,
    /// Where in Linux it comes from.
    pub seen: Vec<String>,
    /// What a person can do about it.
    pub advice: String,
}

#[derive(Deserialize)]
struct Table {
    reason: Vec<Reason>,
}

/// All of them, in the order of their codes.
pub fn all() -> &'static [Reason] {
    static ALL: LazyLock<Vec<Reason>> = LazyLock::new(|| {
        let table: Table = toml::from_str(include_str!("../../spec/reasons.toml")).expect("a test reads it, too");
        table.reason
    });
    &ALL
}

/// The one of this name or number.
pub fn find(name_or_number: &str) -> Option<&'static Reason> {
    all().iter().find(|reason| reason.name == name_or_number || reason.number() == name_or_number)
}

impl Reason {
    /// Its code, as one would type it.
    pub fn number(&self) -> String {
        self.code.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_of_the_protocol() {
        let named =
            papr_unplug_wire::wire::reason::Reason::ALL.iter().map(|reason| (reason.0.into(), reason.to_string()));
        assert!(all().iter().map(|reason| (reason.code, reason.name.clone())).eq(named));
    }

    #[test]
    fn reason_is_found_by_name_and_by_number() {
        assert_eq!(find("last-cpu").unwrap().code, 1);
        assert_eq!(find("6").unwrap().name, "unmovable-page");
        assert!(find("30").is_none());
    }
}
