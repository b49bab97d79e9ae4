// SPDX-License-Identifier: MIT OR Apache-2.0

//! Faults in the guest's kernel: `tests/guest/fault/papr_fault.c`, and the kernel's own fault injection.

use crate::{removal::Request, vm::Vm};
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::{drc::DrcIndex, rtas::Indicator};

/// Function of the kernel whose return value is overridden in workers, without a call to it.
#[derive(Clone, Copy, Debug)]
pub struct Override<'a> {
    /// Name.
    pub function: &'a str,
    /// Return value.
    pub returns: i64,
    /// Argument number (from 0) and value to which the override is limited.
    pub with: Option<(u8, u64)>,
}

impl<'a> Override<'a> {
    /// Overrides every call.
    pub const fn always(function: &'a str, returns: i64) -> Self {
        Self { function, returns, with: None }
    }
}

/// Firmware that takes no connector back: `set-indicator(9001, ...)` fails, which Linux reports as EIO.
pub const NOT_ISOLATED: Override<'_> = Override { function: "rtas_set_indicator", returns: -5, with: Some((0, 9001)) };

/// Returns the parameters of `papr_fault.ko` for these overrides.
pub fn overriding(functions: &[Override<'_>]) -> String {
    let list = |member: &dyn Fn(&Override<'_>) -> String| functions.iter().map(member).collect::<Vec<_>>().join(",");
    format!(
        "function={} returns={} argument={} value={}",
        list(&|cut| cut.function.to_owned()),
        list(&|cut| cut.returns.to_string()),
        list(&|cut| cut.with.map_or(-1, |(argument, _)| i32::from(argument)).to_string()),
        list(&|cut| cut.with.map_or(0, |(_, value)| value).to_string()),
    )
}

/// Returns the parameters of `papr_fault.ko` that replace the first 12 bytes of the hypervisor's requests, before the
/// kernel or the module reads them. Byte 3 stays as it is.
pub fn rewritten(bytes: [u8; 12]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("request={digits}")
}

impl Vm {
    /// Returns the parameters of `papr_fault.ko` that set the flags of an LMB in the kernel's table (`flags` of `struct
    /// drmem_lmb`).
    pub fn lmb_flags(&mut self, lmb: DrcIndex, flags: u32) -> Result<String> {
        let table = self.guest.sh(r"sed -n 's/^\([0-9a-f]*\) . drmem_info$/0x\1/p' /proc/kallsyms")?;
        Ok(format!("lmbs={} lmb={} flags={flags}", table.trim(), lmb.0))
    }

    /// Has the guest's kernel take a hot plug event that is in no event log, and loads `papr_fault.ko` for it.
    pub fn begin_stray_event(&mut self) -> Result<()> {
        let event = self.guest.sh(r"sed -n 's/^\([0-9a-f]*\) . queue_hotplug_event$/0x\1/p' /proc/kallsyms")?;
        self.begin_fault(&format!("event={}", event.trim()))
    }

    /// Has the guest's kernel handle hot plug events no more, and loads `papr_fault.ko` for it.
    pub fn end_hotplug_events(&mut self) -> Result<()> {
        let interrupt = self.guest.sh(r"sed -n 's/^ *\([0-9]*\):.* RAS_HOTPLUG$/\1/p' /proc/interrupts")?;
        self.begin_fault(&format!("interrupt_of_events={}", interrupt.trim()))
    }

    /// Loads `papr_fault.ko` with these parameters.
    pub fn begin_fault(&mut self, parameters: &str) -> Result<()> {
        self.guest.sh(&format!("insmod /lib/modules/papr_fault.ko {parameters}")).map(drop)
    }

    /// Loads `papr_fault.ko` with these parameters, and the module again after it. The module's probes then see calls
    /// that are overridden.
    pub fn begin_fault_after_module(&mut self, parameters: &str) -> Result<()> {
        self.unload_module()?;
        self.begin_fault(parameters)?;
        self.load_module()
    }

    /// Makes a CPU of the guest call `set-indicator` for each (indicator, connector, state). Does not wait: the CPU may
    /// remove itself.
    pub fn begin_set_indicator(&mut self, cpu: u32, calls: &[(Indicator, DrcIndex, u32)]) -> Result<()> {
        let words: Vec<String> =
            calls.iter().map(|(indicator, drc, state)| format!("{},{},{state}", indicator.0, drc.0)).collect();
        let parameters = format!("caller={cpu} calls={}", words.join(","));
        self.guest.start(&format!("insmod /lib/modules/papr_fault.ko {parameters} &")).map(drop)
    }

    /// Unloads `papr_fault.ko`.
    pub fn end_fault(&mut self) -> Result<()> {
        self.guest.sh("rmmod papr_fault").map(drop)
    }

    /// Makes `percent` of the atomic slab allocations fail until a command in the guest succeeds, and logs `ended`
    /// then. Until then nothing can be typed on the guest's terminals, which need such allocations.
    pub fn fail_atomic_allocations_until(&mut self, percent: u32, command: &str, ended: &str) -> Result<()> {
        let settings = "cd /sys/kernel/debug/failslab && echo 0 > verbose && echo -1 > times && echo 1 > interval && \
                        echo N > task-filter && echo Y > ignore-gfp-wait && cd /root";
        self.guest.sh(settings)?;
        let switch = "/sys/kernel/debug/failslab/probability";
        // The loop starts before the first failure. It is no child of the shell, because the end of a child can make
        // the shell lose a line that it is writing.
        self.guest.sh(&format!(
            "( {{ until {command}; do :; done; until echo 0 > {switch} && grep -q '^0$' {switch}; do :; done; \
             echo '{ended}' > /dev/kmsg; }} & ); echo {percent} > {switch}"
        ))?;
        Ok(())
    }

    /// Limits failing slab allocations to all caches but these.
    pub fn spare_caches(&mut self, caches: &[&str]) -> Result<()> {
        self.guest.sh(&format!(
            "for cache in /sys/kernel/slab/*; do case ${{cache##*/}} in {}) ;; *) echo 1 > $cache/failslab;; esac; done; \
             echo Y > /sys/kernel/debug/failslab/cache-filter",
            caches.join("|")
        ))?;
        Ok(())
    }

    /// Makes `percent` of the allocations of kernel workers fail, in `failslab` or `fail_page_alloc`.
    pub fn fail_allocations(&mut self, of: &str, percent: u32) -> Result<()> {
        self.guest.sh(&format!(
            "cd /sys/kernel/debug/{of} && echo 0 > verbose && echo -1 > times && echo 1 > interval && \
             echo Y > task-filter && echo N > ignore-gfp-wait && if [ -e min-order ]; then echo 0 > min-order; fi; \
             echo {percent} > probability; cd /root"
        ))?;
        let workers = "for task in /proc/[0-9]*; do read name < $task/comm; \
                       case $name in kworker*) echo 1 > $task/make-it-fail;; esac; done 2>/dev/null; true";
        self.guest.sh(workers).map(drop)
    }

    /// Waits for an event about a request, without reading the guest's trace.
    pub fn await_outcome(&mut self, request: &Request) -> Result<()> {
        let what = "what comes of a request";
        self.qmp.wait_for(request.before(), what, |event| request.is_answered_by(event)).context(what)
    }
}
