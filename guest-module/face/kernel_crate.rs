// SPDX-License-Identifier: GPL-2.0-only

//! The face that the module shows to kernels with `CONFIG_RUST`: a module of the `kernel` crate.

#[cfg(CONFIG_KUNIT = "y")]
mod kunit;

use crate::{errno::Errno, shim};
use kernel::prelude::*;

module! {
    type: PaprUnplug,
    name: "papr_unplug",
    authors: ["The papr-unplug authors"],
    description: "Tells the hypervisor of a pseries guest what became of each removal, and why the guest refuses one",
    license: "GPL",
}

/// The module, from load to unload.
struct PaprUnplug;

impl kernel::Module for PaprUnplug {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The kernel calls this once, before anything else of the module.
        unsafe { crate::load() }.map_err(|Errno(number)| Error::from_errno(number))?;
        // SAFETY: It may be called in any task.
        unsafe { shim::papr_caution() };
        Ok(Self)
    }
}

impl Drop for PaprUnplug {
    fn drop(&mut self) {
        // SAFETY: It was loaded, and the kernel does this once, after everything else of the module.
        unsafe { crate::unload() };
    }
}
