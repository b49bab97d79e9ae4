// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes that the guest's administrator switches off and on: those of the module, and those of the tests' trace.

use crate::vm::Vm;
use anyhow::Result;

impl Vm {
    /// Switches all kprobes of the kernel and its function tracer off.
    pub fn switch_probes_off(&mut self) -> Result<()> {
        self.switch_probes(0)
    }

    /// Switches all kprobes of the kernel and its function tracer on.
    pub fn switch_probes_on(&mut self) -> Result<()> {
        self.switch_probes(1)
    }

    fn switch_probes(&mut self, state: u8) -> Result<()> {
        let switches = "/proc/sys/kernel/ftrace_enabled /sys/kernel/debug/kprobes/enabled";
        let command = format!("for switch in {switches}; do if [ -e $switch ]; then echo {state} > $switch; fi; done");
        self.guest.sh(&command).map(drop)
    }
}
