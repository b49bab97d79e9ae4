// SPDX-License-Identifier: MIT OR Apache-2.0

//! PCI functions of the guest, as the kernel's device model has them.

use crate::kernel::Kernel;
use papr_unplug_wire::wire::drc::DrcIndex;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// PCI function of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// PCI address, such as `0000:00:01.0`.
    pub(crate) address: String,
    /// Directory in sysfs, without links in the path.
    pub(crate) directory: PathBuf,
}

impl Function {
    /// Returns the functions that a connector holds: one, those behind a bridge, or those of a PHB.
    pub(crate) fn of(kernel: &Kernel, connector: DrcIndex) -> Vec<Self> {
        let mut functions: Vec<Self> = entries(&kernel.sys("bus/pci/devices"))
            .filter_map(|entry| {
                let directory = fs::canonicalize(entry).ok()?;
                let address = directory.file_name()?.to_str()?.to_owned();
                directory
                    .ancestors()
                    .any(|device| index(device) == Some(connector))
                    .then_some(Self { address, directory })
            })
            .collect();
        functions.sort_by(|a, b| a.address.cmp(&b.address));
        functions
    }

    /// Returns the number of the function's IOMMU group.
    pub(crate) fn iommu_group(&self) -> Option<String> {
        name_behind(&self.directory.join("iommu_group"))
    }

    /// Returns the path of the function's node in the device tree, from the root of the tree on.
    pub(crate) fn node(&self) -> Option<String> {
        let node = fs::canonicalize(self.directory.join("of_node")).ok()?;
        let (_, path) = node.to_str()?.split_once("/devicetree/base")?;
        Some(path.to_owned())
    }
}

/// Returns the index of the connector that holds a device, if the device itself has one.
fn index(device: &Path) -> Option<DrcIndex> {
    let bytes = fs::read(device.join("of_node/ibm,my-drc-index")).ok()?;
    Some(DrcIndex(u32::from_be_bytes(bytes.try_into().ok()?)))
}

/// Returns the paths of the entries of a directory, none if it cannot be read.
pub(crate) fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// Returns the last component of the path that a link points to.
pub(crate) fn name_behind(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::tests::Model;

    #[test]
    fn function_is_found_by_the_index_of_its_connector() {
        let model = Model::new();
        let [function] = &Function::of(&model.kernel, DrcIndex(0x4000_0008))[..] else { panic!() };
        assert_eq!(function.address, "0000:00:01.0");
        assert_eq!(function.node().as_deref(), Some("/pci@800000020000000/scsi@1"));
        assert_eq!(Function::of(&model.kernel, DrcIndex(0x4000_0010)), []);
    }

    #[test]
    fn functions_of_a_phb_are_found_by_its_index() {
        let model = Model::new();
        let found = Function::of(&model.kernel, DrcIndex(0x2000_0000));
        assert_eq!(found.iter().map(|function| function.address.as_str()).collect::<Vec<_>>(), ["0000:00:01.0"]);
    }
}
