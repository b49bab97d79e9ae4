// SPDX-License-Identifier: GPL-2.0-only

//! Entry points of the kernel-crate build, for kernels with `CONFIG_RUST`.

#[cfg(CONFIG_KUNIT = "y")]
mod kunit;

pub(crate) use kernel::error::{
    code::{ENODEV, ENOENT, ENOMEM, EOPNOTSUPP},
    to_result, Error,
};

use crate::{bindings, files, log::Level};
use core::fmt::Arguments;
use kernel::{
    debugfs::{Scope, ScopedDir},
    prelude::*,
};

module! {
    type: PaprUnplug,
    name: "papr_unplug",
    authors: ["The papr-unplug authors"],
    description: "Tells the hypervisor of a pseries guest the outcome of each removal",
    license: "GPL",
}

/// The module, from load to unload.
struct PaprUnplug {
    /// The directory in debugfs, unless there was no memory for it.
    files: Option<Pin<KBox<Scope<Files>>>>,
}

/// The files. Their contents are static, so they own nothing.
struct Files;

impl Files {
    fn create<'data>(&'data self, dir: &ScopedDir<'data, '_>) {
        dir.read_callback_file(files::PROMISE, self, &|_, to| files::promise(to));
        dir.read_callback_file(files::COUNTERS, self, &|_, to| files::counters(to));
        dir.read_callback_file(files::REFUSALS, self, &|_, to| files::refusals(to));
        dir.read_callback_file(files::REMOVAL, self, &|_, to| files::removal(to));
        dir.read_callback_file(files::HANDOVER, self, &|_, to| files::handover(to));
        dir.read_callback_file(files::PROBES_FILE, self, &|_, to| files::probes(to));
    }
}

impl kernel::Module for PaprUnplug {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The kernel calls this once, before anything else of the module.
        unsafe { crate::load() }?;
        // SAFETY: The function may be called in any task.
        unsafe { bindings::papr_caution() };
        let files = Scope::dir(Files, files::DIRECTORY, |files, dir| files.create(dir));
        Ok(Self { files: KBox::pin_init(files, GFP_KERNEL).ok() })
    }
}

impl Drop for PaprUnplug {
    fn drop(&mut self) {
        self.files = None;
        // SAFETY: The kernel drops this once, after it was loaded and everything else ended.
        unsafe { crate::unload() };
    }
}

/// Writes a line to the kernel log.
#[inline(never)]
pub(crate) fn log(level: Level, text: Arguments<'_>) {
    match level {
        Level::Error => pr_err!("{text}\n"),
        Level::Warning => pr_warn!("{text}\n"),
        Level::Notice => pr_notice!("{text}\n"),
        Level::Info => pr_info!("{text}\n"),
    }
}
