// SPDX-License-Identifier: MIT OR Apache-2.0

//! Flattened device trees, as the monitor's `dumpdtb` writes them (Devicetree Specification, "Flattened Devicetree
//! Format").

use crate::{
    monitor::{Monitor, Reply},
    program::Process,
};
use anyhow::{Result, ensure};
use serde_json::json;
use std::fs;

/// Has the VMM write the tree that its guest boots with, and reads it.
pub(crate) fn dump(process: &Process, monitor: &mut Monitor) -> Result<Vec<u8>> {
    let file = process.dir().join("tree");
    let reply = monitor.execute("dumpdtb", json!({ "filename": file }))?;
    ensure!(matches!(reply, Reply::Done(_)), "the VMM does not give its device tree: {reply:?}");
    Ok(fs::read(file)?)
}

/// Returns the values of all properties of this name that have one cell.
pub fn cells(tree: &[u8], name: &str) -> impl Iterator<Item = u32> {
    const PROPERTY: u32 = 3;
    let cell = |at: usize| Some(u32::from_be_bytes(*tree.get(at..)?.first_chunk()?));
    let header = |at| cell(at).unwrap_or_default() as usize;
    let (structure, strings, size) = (header(8), header(12), header(36));
    let is_named = move |at: usize| {
        let name_at = strings + cell(at + 8)? as usize;
        (tree.get(name_at..)?.strip_prefix(name.as_bytes())?.first() == Some(&0)).then_some(())
    };
    (structure..structure + size).step_by(4).filter_map(move |at| {
        let is_it = cell(at) == Some(PROPERTY) && cell(at + 4) == Some(4) && is_named(at).is_some();
        is_it.then(|| cell(at + 12)).flatten()
    })
}
