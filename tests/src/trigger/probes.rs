// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes that the guest's administrator switches off and on: those of the module, and those of the tests' trace.

use crate::vm::Vm;
use anyhow::Result;

/// Succeeds if the module's probes are off: kprobes by their switch, fprobes by that of the function tracer, which kernels
/// from 7.3 on do not let go off.
const ARE_OFF: &str = "if uname -v | grep -q PREEMPT && grep -q ' unregister_fprobe_async$' /proc/kallsyms; \
                       then [ $(cat /proc/sys/kernel/ftrace_enabled) = 0 ]; fi";

impl Vm {
    /// Switches all kprobes of the kernel and its function tracer off. Returns whether the module's probes are off then.
    pub fn switch_probes_off(&mut self) -> Result<bool> {
        self.switch_probes(0)?;
        Ok(self.guest.run(ARE_OFF)?.status == 0)
    }

    /// Switches all kprobes of the kernel and its function tracer on.
    pub fn switch_probes_on(&mut self) -> Result<()> {
        self.switch_probes(1)
    }

    fn switch_probes(&mut self, state: u8) -> Result<()> {
        let switches = "/proc/sys/kernel/ftrace_enabled /sys/kernel/debug/kprobes/enabled";
        let command =
            format!("for switch in {switches}; do if [ -e $switch ]; then echo {state} > $switch; fi; done; true");
        self.guest.sh(&command).map(drop)
    }
}
