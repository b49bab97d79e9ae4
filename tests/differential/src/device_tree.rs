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

/// Property of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// Name of the node, with its unit address.
    pub node: &'a [u8],
    /// Name.
    pub name: &'a [u8],
    /// Value.
    pub value: &'a [u8],
}

/// Returns the values of all properties of this name that have one cell.
pub fn cells<'a>(tree: &'a [u8], name: &str) -> impl Iterator<Item = u32> + use<'a> {
    let named = properties(tree).into_iter().filter(|property| property.name == name.as_bytes());
    named
        .filter_map(|property| Some(u32::from_be_bytes(property.value.try_into().ok()?)))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Returns all properties, in their order, up to the end of the tree or to what cannot be read.
pub fn properties(tree: &[u8]) -> Vec<Property<'_>> {
    let mut reader = Reader { tree, at: offset(tree, 8).unwrap_or(tree.len()) };
    let (mut found, mut nodes) = (Vec::new(), Vec::new());
    let strings = offset(tree, 12).unwrap_or(tree.len());
    while let Some(token) = reader.cell() {
        match token {
            BEGIN_NODE => nodes.extend(reader.text()),
            END_NODE => drop(nodes.pop()),
            PROPERTY => {
                let (Some(length), Some(name)) = (reader.cell(), reader.cell()) else { break };
                let name = tree.get(strings..).and_then(|strings| strings.get(name as usize..)).map(until_zero);
                let (Some(value), Some(name), Some(node)) = (reader.bytes(length as usize), name, nodes.last()) else {
                    break;
                };
                found.push(Property { node, name, value });
            }
            NOTHING => {}
            _ => break,
        }
    }
    found
}

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOTHING: u32 = 4;

/// Reader of the structure block, whose parts are padded to cells.
struct Reader<'a> {
    tree: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn cell(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.bytes(4)?.first_chunk()?))
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.tree.get(self.at..)?.get(..length)?;
        self.at += length.next_multiple_of(4);
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let text = until_zero(self.tree.get(self.at..)?);
        self.bytes(text.len() + 1)?;
        Some(text)
    }
}

fn offset(tree: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(*tree.get(at..)?.first_chunk()?) as usize)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a tree with the node `/rtas`, which has a property `n` of three bytes that look like tokens.
    fn tree() -> Vec<u8> {
        let cells = |cells: &[u32]| cells.iter().flat_map(|cell| cell.to_be_bytes()).collect::<Vec<_>>();
        let header = cells(&[0xD00D_FEED, 0, 40, 92, 0, 17, 16, 0, 2, 52]);
        let structure = [
            cells(&[BEGIN_NODE, 0, BEGIN_NODE]),
            b"rtas\0\0\0\0".to_vec(),
            cells(&[NOTHING, PROPERTY, 3, 0]),
            vec![0, 0, 3, 0],
            cells(&[END_NODE, END_NODE, 9]),
        ];
        [header, structure.concat(), b"n\0".to_vec()].concat()
    }

    #[test]
    fn property_is_found_with_its_node() {
        let expected = Property { node: b"rtas", name: b"n", value: &[0, 0, 3] };
        assert_eq!(properties(&tree()), [expected]);
    }

    #[test]
    fn tree_that_ends_anywhere_is_read_up_to_there() {
        let tree = tree();
        for end in 0..tree.len() - 2 {
            assert!(properties(&tree[..end]).len() <= 1);
        }
        let mut endless = tree.clone();
        endless[8..12].fill(0xFF);
        assert_eq!(properties(&endless), []);
    }
}
