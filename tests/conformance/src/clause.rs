// SPDX-License-Identifier: MIT OR Apache-2.0

//! Clauses of the specification, by their names.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{fs, path::Path};

/// Half of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// `guest-conformance.md`
    Guest,
    /// `vmm-conformance.md`
    Vmm,
}

#[derive(Debug, Deserialize)]
struct ClauseFile {
    clause: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: String,
}

impl Half {
    /// Reads the names of the clauses of this half from `spec/clauses.toml`, in their order.
    pub fn clauses(self) -> Result<Vec<String>> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/clauses.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let ClauseFile { clause } = toml::from_str(&text).context("in clauses.toml")?;
        Ok(clause.into_iter().map(|entry| entry.id).filter(|id| id.starts_with(self.prefix())).collect())
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Guest => "PUE-G-",
            Self::Vmm => "PUE-V-",
        }
    }
}
