// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons and their meanings, from `spec/reasons.toml`.

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Reason for a refusal.
#[derive(Debug, Deserialize, Serialize)]
pub struct Reason {
    /// The code in a report.
    pub code: u64,
    /// The name in QEMU's events.
    pub name: String,
    /// The meaning, for people.
    pub meaning: String,
    /// The resource classes that it applies to.
    pub classes: Vec<String>,
    /// The error numbers that Linux returns with it.
    pub errno: Vec<String>,
    /// The functions of Linux that refuse for this reason.
    pub seen: Vec<String>,
    /// Action by which an administrator can help.
    pub advice: String,
    /// Persistence of the reason.
    pub persistence: Persistence,
}

/// Persistence of a reason, for programs that decide whether to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// Asking again later can help.
    Transient,
    /// Asking again helps only after an action in the guest or on the host.
    NeedsAction,
    /// Asking again does not help until the guest boots again.
    Permanent,
    /// The reason alone does not say.
    Unknown,
}

#[derive(Deserialize)]
struct Table {
    reason: Vec<Reason>,
}

/// Returns all reasons, in the order of their codes.
pub fn all() -> &'static [Reason] {
    static ALL: LazyLock<Vec<Reason>> = LazyLock::new(|| {
        let table: Table = toml::from_str(include_str!("../reasons.toml")).expect("a test parses the same file");
        table.reason
    });
    &ALL
}

/// Finds a reason by its name or number.
pub fn find(name_or_number: &str) -> Option<&'static Reason> {
    all().iter().find(|reason| reason.name == name_or_number || reason.number() == name_or_number)
}

impl Persistence {
    /// Returns whether and when to ask again.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Transient => "later, without anything else",
            Self::NeedsAction => "after the action",
            Self::Permanent => "not before the guest boots again",
            Self::Unknown => "the reason alone does not say whether that helps",
        }
    }
}

impl Reason {
    /// Returns the code in decimal.
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
