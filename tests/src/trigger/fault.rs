// SPDX-License-Identifier: MIT OR Apache-2.0

//! What tests bring about in the guest's kernel, where nothing that stock guests do would: `tests/guest/fault/papr_fault.c`.

use crate::{removal::Asked, vm::Vm};
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::drc::DrcIndex;

/// One function of the kernel that is cut short in workers.
#[derive(Clone, Copy, Debug)]
pub struct CutShort<'a> {
    /// Its name.
    pub function: &'a str,
    /// What it returns instead.
    pub returns: i64,
    /// Only if the argument of this number, from 0, has this value.
    pub with: Option<(u8, u64)>,
}

impl<'a> CutShort<'a> {
    /// Whatever its arguments are.
    pub const fn always(function: &'a str, returns: i64) -> Self {
        Self { function, returns, with: None }
    }
}

/// Firmware does not take a connector back: what it says of `set-indicator(9001, ...)` comes back as EIO.
pub const NOT_ISOLATED: CutShort<'_> = CutShort { function: "rtas_set_indicator", returns: -5, with: Some((0, 9001)) };

/// Parameters by which these functions of the kernel are cut short.
pub fn cut_short(functions: &[CutShort<'_>]) -> String {
    let list = |member: &dyn Fn(&CutShort<'_>) -> String| functions.iter().map(member).collect::<Vec<_>>().join(",");
    format!(
        "function={} returns={} argument={} value={}",
        list(&|cut| cut.function.to_owned()),
        list(&|cut| cut.returns.to_string()),
        list(&|cut| cut.with.map_or(-1, |(argument, _)| i32::from(argument)).to_string()),
        list(&|cut| cut.with.map_or(0, |(_, value)| value).to_string()),
    )
}

/// Parameters by which the hypervisor's requests read like this when they come to the kernel, and to the module: as those of
/// another VMM would, if that is what the bytes are. The fourth stays as it is.
pub fn rewritten(bytes: [u8; 12]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("request={digits}")
}

impl Vm {
    /// Parameters by which the entry of an LMB in the kernel's table says this (`flags` of `struct drmem_lmb`).
    pub fn lmb_flags(&mut self, lmb: DrcIndex, flags: u32) -> Result<String> {
        let table = self.guest.sh(r"sed -n 's/^\([0-9a-f]*\) . drmem_info$/0x\1/p' /proc/kallsyms")?;
        Ok(format!("lmbs={} lmb={} flags={flags}", table.trim(), lmb.0))
    }

    /// Brings it about, from now on; the parameters are those of `papr_fault.c`.
    pub fn begin_fault(&mut self, parameters: &str) -> Result<()> {
        self.guest.sh(&format!("insmod /lib/modules/papr_fault.ko {parameters}")).map(drop)
    }

    /// Brings it about behind the module, which is loaded anew for that: it then sees calls of functions that it has a probe
    /// on before they are cut short.
    pub fn begin_fault_behind_module(&mut self, parameters: &str) -> Result<()> {
        self.unload_module()?;
        self.begin_fault(parameters)?;
        self.load_module()
    }

    /// No more.
    pub fn end_fault(&mut self) -> Result<()> {
        self.guest.sh("rmmod papr_fault").map(drop)
    }

    /// Has so many of a hundred atomic allocations of a slab fail until this command succeeds in the guest; then the kernel log
    /// says `ended`. Until then nothing can be typed on the guest's terminals, which need such memory for it.
    pub fn fail_atomic_allocations_until(&mut self, percent: u32, command: &str, ended: &str) -> Result<()> {
        let settings = "cd /sys/kernel/debug/failslab && echo 0 > verbose && echo -1 > times && echo 1 > interval && \
                        echo N > task-filter && echo Y > ignore-gfp-wait && cd /root";
        self.guest.sh(settings)?;
        let switch = "/sys/kernel/debug/failslab/probability";
        // The loop is there before the first failure. It is no child of the shell's: one that ends can cost the shell a line
        // that it is writing.
        self.guest.sh(&format!(
            "( {{ until {command}; do :; done; until echo 0 > {switch} && grep -q '^0$' {switch}; do :; done; \
             echo '{ended}' > /dev/kmsg; }} & ); echo {percent} > {switch}"
        ))?;
        Ok(())
    }

    /// Lets all caches of slabs fail but these, where allocations are made to.
    pub fn spare_caches(&mut self, caches: &[&str]) -> Result<()> {
        self.guest.sh(&format!(
            "for cache in /sys/kernel/slab/*; do case ${{cache##*/}} in {}) ;; *) echo 1 > $cache/failslab;; esac; done; \
             echo Y > /sys/kernel/debug/failslab/cache-filter",
            caches.join("|")
        ))?;
        Ok(())
    }

    /// Has so many of a hundred allocations of the kernel's workers fail: of a slab (`failslab`) or of pages
    /// (`fail_page_alloc`).
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

    /// Waits until the host is told something about what was asked, and returns without looking at the guest.
    pub fn await_told(&mut self, asked: &Asked) -> Result<()> {
        let what = "what comes of a request";
        self.qmp.wait_for(asked.before(), what, |event| asked.is_told_by(event)).context(what)
    }
}
