// SPDX-License-Identifier: MIT OR Apache-2.0

//! Host of guests under KVM, which is emulated: Debian's kernel, with KVM-HV and 9p.

use crate::{
    artifacts::{
        busybox::busybox,
        debian_kernel::DebianKernel,
        drivers,
        initramfs::{init, pack, program},
    },
    cache::{Made, Recipe, Work},
    roots::DEBIAN_ROOT,
};
use anyhow::Result;
use std::{fs::OpenOptions, io::Write as _};

/// The modules, besides those that they depend on. `tests/src/vmm/kvm.rs` loads them.
const MODULES: &[&str] = &["9p", "9pnet_virtio", "kvm-hv", "virtio_console", "virtio_pci"];

/// User space of the host, with modules of this kernel. VMMs are not in it.
pub(crate) fn kvm_host(kernel: DebianKernel) -> Recipe {
    let title = format!("host of KVM guests (Debian's kernel, {})", kernel.name());
    Recipe::new("kvm-host", title, move |work| make(work, kernel))
        .parts([DEBIAN_ROOT.recipe(), kernel.recipe(), busybox()])
        .text("modules", MODULES.join(" "))
        .text("layout", "1")
        .read(|inputs, settings| inputs.file("init", &init(settings)))
        .needs(600)
        .file("initramfs.cpio")
        .logged_as(&kernel.name())
}

fn make(work: &Work<'_>, kernel: DebianKernel) -> Result<Made> {
    let files = [("init".to_owned(), 0o755, init(work.settings)), program(work.of("busybox").file())];
    let archive = work.path("initramfs.cpio");
    pack(&files, &archive)?;
    drivers::archive(work, kernel, MODULES)?;
    // The kernel unpacks concatenated archives one after the other.
    OpenOptions::new().append(true).open(archive)?.write_all(&std::fs::read(work.path(drivers::FILE))?)?;
    Ok(Made::default())
}
