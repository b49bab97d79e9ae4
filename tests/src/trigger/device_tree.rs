// SPDX-License-Identifier: MIT OR Apache-2.0

//! Obstacles in the guest's device tree.

use crate::vm::Vm;
use anyhow::Result;

/// The kernel's file of changes to the device tree.
const CHANGES: &str = "/proc/powerpc/ofdt";

impl Vm {
    /// Adds a node with a DRC index that is too short. The kernel removes no node by its DRC index while it is there: it
    /// reads the index of each node in turn, and gives up at this one.
    pub fn obstruct_device_tree(&mut self) -> Result<()> {
        self.guest.sh(&format!("printf 'add_node /obstacle ibm,my-drc-index 1 x' > {CHANGES}")).map(drop)
    }

    /// Removes that node.
    pub fn clear_device_tree(&mut self) -> Result<()> {
        self.guest.sh(&format!("printf 'remove_node /obstacle' > {CHANGES}")).map(drop)
    }
}
