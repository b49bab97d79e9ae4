// SPDX-License-Identifier: MIT OR Apache-2.0

//! PCI functions that a program of the guest has open through VFIO.

use crate::{device::pci::Function, vm::Vm};
use anyhow::Result;

impl Vm {
    /// Returns whether the guest's kernel has VFIO on POWER, which was broken from Linux 5.19 until 6.4 gave powerpc its
    /// `iommu_ops`.
    pub fn has_vfio(&mut self) -> Result<bool> {
        Ok(self.guest.run("case $(uname -r) in 5.19.*|6.[0-3].*) false;; esac")?.status == 0)
    }

    /// Gives a function, the only one of its IOMMU group, to `vfio-pci`, and has a program open it.
    pub fn hold_by_vfio(&mut self, function: &Function) -> Result<()> {
        let directory = function.directory();
        self.guest.sh("modprobe vfio-pci && modprobe vfio_iommu_spapr_tce")?;
        self.guest.sh(&format!(
            "cd {directory} && echo vfio-pci > driver_override && {{ [ ! -e driver ] || echo ${{PWD##*/}} > driver/unbind; }} && \
             echo ${{PWD##*/}} > /sys/bus/pci/drivers_probe && group=$(readlink iommu_group) && cd /root"
        ))?;
        let address = directory.rsplit('/').next().unwrap_or_default();
        let hold = format!("{{ hold-vfio /dev/vfio/${{group##*/}} {address} > /tmp/held 2>&1 & }}");
        self.guest.sh(&format!(
            "PATH=$PATH:/usr/sbin; {hold}; until grep . /tmp/held; do :; done; grep -qx held /tmp/held"
        ))?;
        Ok(())
    }

    /// Has the program end, and waits until it has ended.
    pub fn let_go_of_vfio(&mut self) -> Result<()> {
        self.signal("KILL", "hold-vfio")?;
        self.guest.sh("while pidof hold-vfio > /dev/null; do :; done").map(drop)
    }

    /// Waits until `drmgr` waits for the program to let go.
    pub fn await_drmgr_behind_vfio(&mut self) -> Result<()> {
        self.guest.sh("until grep -qs vfio_unregister_group_dev /proc/$(pidof drmgr)/wchan; do :; done").map(drop)
    }
}
