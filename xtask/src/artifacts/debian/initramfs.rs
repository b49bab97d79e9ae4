// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same user space as for our own kernels, with the module for one of Debian's.

use std::path::Path;

use anyhow::Result;

use crate::artifacts::busybox::Busybox;
use crate::artifacts::debian::kernel::DebianKernel;
use crate::artifacts::debian::module::DebianModule;
use crate::artifacts::initramfs::{own_inputs, pack};
use crate::artifacts::module;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::settings::Settings;

/// The initramfs; its file is [`crate::artifacts::initramfs::FILE`].
#[derive(Debug)]
pub(crate) struct DebianInitramfs {
    kernel: DebianKernel,
    module: DebianModule,
}

impl DebianInitramfs {
    pub(crate) fn new(kernel: DebianKernel) -> Self {
        Self { kernel, module: DebianModule(kernel) }
    }
}

impl Recipe for DebianInitramfs {
    fn kind(&self) -> &'static str {
        "debian-initramfs"
    }

    fn title(&self) -> String {
        format!("initramfs (Debian's kernel, {})", self.kernel.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Busybox, &self.kernel, &self.module]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        own_inputs(settings)
    }

    fn needs(&self) -> u64 {
        20
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [busybox, kernel, module] = parts else { unreachable!("three parts are declared") };
        let mut modules = vec![module.path(module::FILE)];
        modules.extend(self.kernel.modules(kernel));
        pack(store, &[busybox.path(Busybox::PROGRAM)], &modules, None, dir)
    }
}
