// SPDX-License-Identifier: MIT OR Apache-2.0

//! Uses of a device that its removal would harm.

use crate::{
    function::{Function, entries, name_behind},
    kernel::Kernel,
};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
};

/// Use of a device that its removal would harm. A network interface that is merely up is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// A file system of a disk is mounted.
    Mounted {
        /// Disk or partition.
        disk: String,
        /// Mount point.
        at: String,
    },
    /// A disk is swap space.
    Swap {
        /// Disk or partition.
        disk: String,
    },
    /// Another block device stands on a disk: the device mapper's, or a RAID.
    Holder {
        /// Disk or partition.
        disk: String,
        /// Name of the other device.
        holder: String,
    },
    /// Something else has a disk, or a partition of it, for itself.
    Claimed {
        /// Disk.
        disk: String,
    },
    /// A program has the function itself open, through VFIO.
    Open {
        /// Name and number of the process.
        process: String,
    },
}

impl Usage {
    /// Returns the first use that is found of the functions of a connector.
    pub(crate) fn of(kernel: &Kernel, functions: &[Function]) -> Option<Self> {
        let of_disk = |disk: &Disk| of_disk(kernel, disk);
        let of_group = |function: &Function| of_group(kernel, function);
        disks(kernel, functions).iter().find_map(of_disk).or_else(|| functions.iter().find_map(of_group))
    }
}

/// Block device of a function: a disk, or a partition of one.
pub(crate) struct Disk {
    /// Name in `/dev`.
    pub(crate) name: String,
    /// `major:minor`.
    number: String,
    directory: PathBuf,
}

impl Disk {
    /// Returns whether this is no partition.
    pub(crate) fn is_whole(&self) -> bool {
        !self.directory.join("partition").exists()
    }
}

/// Returns the block devices of functions, sorted by name.
pub(crate) fn disks(kernel: &Kernel, functions: &[Function]) -> Vec<Disk> {
    let directories: Vec<PathBuf> =
        entries(&kernel.sys("class/block")).filter_map(|entry| fs::canonicalize(entry).ok()).collect();
    let is_below = |directory: &Path| functions.iter().any(|function| directory.starts_with(&function.directory));
    let paths = directories.iter().filter_map(|path| Some((head(path.file_name()?.to_str()?)?, is_below(path))));
    let (within, outside): (Vec<_>, Vec<_>) = paths.partition(|(_, is_below)| *is_below);
    // A disk that has another path is still there without these functions.
    let has_no_other_path = |directory: &Path| {
        let is_in =
            |paths: &[(String, bool)]| paths.iter().any(|(head, _)| directory.iter().any(|name| name == &**head));
        is_in(&within) && !is_in(&outside)
    };
    let disk = |directory: PathBuf| {
        let number = fs::read_to_string(directory.join("dev")).ok()?.trim().to_owned();
        // A name in /dev has a slash where sysfs has an exclamation mark.
        let name = directory.file_name()?.to_str()?.replace('!', "/");
        Some(Disk { name, number, directory })
    };
    let of_functions = directories.iter().filter(|path| is_below(path) || has_no_other_path(path));
    let mut disks: Vec<Disk> = of_functions.cloned().filter_map(disk).collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    disks
}

/// Returns the name of the disk whose path through a controller has this name: `nvme0n2` of `nvme0c1n2` (Linux,
/// `nvme_set_disk_name`). The path is no block device that can be opened.
fn head(path: &str) -> Option<String> {
    let (subsystem, controller) = path.strip_prefix("nvme")?.split_once('c')?;
    let (_, namespace) = controller.split_once('n')?;
    Some(format!("nvme{subsystem}n{namespace}"))
}

fn of_disk(kernel: &Kernel, disk: &Disk) -> Option<Usage> {
    let name = || disk.name.clone();
    if let Some(at) = mount_point(kernel, disk) {
        return Some(Usage::Mounted { disk: name(), at });
    }
    if is_swap(kernel, disk) {
        return Some(Usage::Swap { disk: name() });
    }
    let holder = entries(&disk.directory.join("holders")).next()?;
    let own_name = fs::read_to_string(holder.join("dm/name")).ok().map(|name| name.trim().to_owned());
    let holder = own_name.or_else(|| Some(holder.file_name()?.to_str()?.to_owned()))?;
    Some(Usage::Holder { disk: name(), holder })
}

/// Returns where a disk is mounted, in any mount namespace.
fn mount_point(kernel: &Kernel, disk: &Disk) -> Option<String> {
    let mut seen = BTreeSet::new();
    processes(kernel).find_map(|process| {
        let namespace = name_behind(&process.join("ns/mnt"));
        if namespace.as_ref().is_some_and(|namespace| seen.contains(namespace)) {
            return None;
        }
        let mounts = fs::read_to_string(process.join("mountinfo")).ok()?;
        // A process with another root sees the mounts below it alone.
        let sees_all = fs::read_link(process.join("root")).is_ok_and(|root| root == Path::new("/"));
        seen.extend(namespace.filter(|_| sees_all && !mounts.is_empty()));
        mounts.lines().find_map(|line| mount_of(line, disk))
    })
}

/// Returns the mount point of a line of `mountinfo` if it is that of a disk. Some file systems have numbers of their
/// own, and name the disk as their source.
fn mount_of(line: &str, disk: &Disk) -> Option<String> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut words = mount.split(' ').skip(2);
    let (number, _, at) = (words.next()?, words.next()?, words.next()?);
    let source = file_system.split(' ').nth(1)?;
    (number == disk.number || is_device_file(source, disk)).then(|| at.to_owned())
}

/// Returns whether a disk is swap space.
fn is_swap(kernel: &Kernel, disk: &Disk) -> bool {
    let swaps = fs::read_to_string(kernel.proc("swaps")).unwrap_or_default();
    swaps.lines().filter_map(|line| line.split_whitespace().next()).any(|file| is_device_file(file, disk))
}

fn is_device_file(path: &str, disk: &Disk) -> bool {
    path.strip_prefix("/dev/") == Some(&disk.name)
}

/// Returns the process that has the function open through VFIO.
fn of_group(kernel: &Kernel, function: &Function) -> Option<Usage> {
    let group = function.iommu_group().map(|group| Path::new("/dev/vfio").join(group));
    let device = entries(&function.directory.join("vfio-dev")).next();
    let device = device.and_then(|entry| Some(Path::new("/dev/vfio/devices").join(entry.file_name()?)));
    let files: Vec<PathBuf> = group.into_iter().chain(device).collect();
    let holder = processes(kernel).find(|process| {
        entries(&process.join("fd")).any(|open| fs::read_link(open).is_ok_and(|file| files.contains(&file)))
    })?;
    let name = fs::read_to_string(holder.join("comm")).unwrap_or_default();
    let number = holder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    Some(Usage::Open { process: format!("{} ({number})", name.trim()) })
}

/// Returns the directories of all processes.
fn processes(kernel: &Kernel) -> impl Iterator<Item = PathBuf> + use<> {
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    entries(&kernel.proc("")).filter(move |path| path.file_name().and_then(OsStr::to_str).is_some_and(is_number))
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted { disk, at } => write!(f, "{disk} is mounted on {at}"),
            Self::Swap { disk } => write!(f, "{disk} is swap space"),
            Self::Holder { disk, holder } => write!(f, "{holder} stands on {disk}"),
            Self::Claimed { disk } => write!(f, "something has {disk} for itself"),
            Self::Open { process } => write!(f, "{process} has it open through VFIO"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use papr_unplug_wire::wire::drc::DrcIndex;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// Kernel with one PCI function, whose disk `vda` has a partition `vda1`.
    pub(crate) struct Model {
        root: TempDir,
        pub(crate) kernel: Kernel,
    }

    const DEVICE: &str = "sys/devices/pci0000:00/0000:00:01.0";

    impl Model {
        pub(crate) fn new() -> Self {
            let root = TempDir::new().unwrap();
            let model = Self { kernel: Kernel::below(root.path()), root };
            let node = "sys/firmware/devicetree/base/pci@800000020000000/scsi@1";
            model.write(&format!("{node}/ibm,my-drc-index"), [0x40, 0, 0, 8]);
            model.write(&format!("{node}/../ibm,my-drc-index"), [0x20, 0, 0, 0]);
            model.write(&format!("{DEVICE}/vendor"), "0x1af4\n");
            model.link(&format!("{DEVICE}/of_node"), node);
            model.link(&format!("{DEVICE}/../of_node"), &format!("{node}/.."));
            model.link("sys/bus/pci/devices/0000:00:01.0", DEVICE);
            for (disk, number) in [("vda", "254:0"), ("vda/vda1", "254:1")] {
                model.write(&format!("{DEVICE}/virtio0/block/{disk}/dev"), format!("{number}\n"));
                let name = disk.rsplit('/').next().unwrap();
                model.link(&format!("sys/class/block/{name}"), &format!("{DEVICE}/virtio0/block/{disk}"));
            }
            model.write("sys/devices/virtual/block/zram0/dev", "253:0\n");
            model.link("sys/class/block/zram0", "sys/devices/virtual/block/zram0");
            model.mount("22 1 0:20 / /proc rw - proc proc rw");
            model
        }

        fn write(&self, path: &str, content: impl AsRef<[u8]>) {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn link(&self, path: &str, target: &str) {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(self.root.path().join(target), path).unwrap();
        }

        fn mount(&self, line: &str) {
            self.write("proc/1/mountinfo", format!("{line}\n"));
        }

        fn usage(&self) -> Option<String> {
            let functions = Function::of(&self.kernel, DrcIndex(0x4000_0008));
            assert_eq!(functions.len(), 1);
            Usage::of(&self.kernel, &functions).map(|usage| usage.to_string())
        }
    }

    #[test]
    fn idle_disk_is_not_in_use() {
        assert_eq!(Model::new().usage(), None);
    }

    #[test]
    fn disk_that_is_mounted_is_in_use() {
        let model = Model::new();
        model.mount("36 22 254:1 / /srv/data rw,relatime shared:1 - ext4 /dev/root rw");
        assert_eq!(model.usage().unwrap(), "vda1 is mounted on /srv/data");
    }

    #[test]
    fn disk_that_is_mounted_under_another_number_is_in_use() {
        let model = Model::new();
        model.mount("36 22 0:40 / / rw - btrfs /dev/vda rw");
        assert_eq!(model.usage().unwrap(), "vda is mounted on /");
    }

    #[test]
    fn disk_that_is_mounted_in_another_namespace_is_in_use() {
        let model = Model::new();
        model.write("proc/77/mountinfo", "36 22 254:0 / /inside rw - ext4 /dev/vda rw\n");
        assert_eq!(model.usage().unwrap(), "vda is mounted on /inside");
    }

    #[test]
    fn disk_that_only_another_process_of_a_namespace_sees_mounted_is_in_use() {
        let model = Model::new();
        for (process, mounts) in [(1, ""), (2, "22 1 0:20 / /proc rw - proc proc rw\n")] {
            model.write(&format!("proc/{process}/mountinfo"), mounts);
        }
        for (process, root) in [(1, "/"), (2, "/srv/jail"), (3, "/")] {
            fs::create_dir_all(model.root.path().join(format!("proc/{process}/ns"))).unwrap();
            symlink("mnt:[1]", model.root.path().join(format!("proc/{process}/ns/mnt"))).unwrap();
            symlink(root, model.root.path().join(format!("proc/{process}/root"))).unwrap();
        }
        model.write("proc/3/mountinfo", "36 22 254:0 / /srv rw - ext4 /dev/vda rw\n");
        assert_eq!(model.usage().unwrap(), "vda is mounted on /srv");
    }

    /// A bridge is a function, too, with the disk below it.
    #[test]
    fn disk_behind_a_bridge_is_one_disk() {
        let model = Model::new();
        let behind = format!("{DEVICE}/0000:01:00.0");
        let bridge = Function { address: "0000:00:01.0".into(), directory: model.root.path().join(DEVICE) };
        let function = Function { address: "0000:01:00.0".into(), directory: model.root.path().join(&behind) };
        model.write(&format!("{behind}/virtio1/block/vdb/dev"), "254:16\n");
        model.link("sys/class/block/vdb", &format!("{behind}/virtio1/block/vdb"));
        let names: Vec<_> = disks(&model.kernel, &[bridge, function]).into_iter().map(|disk| disk.name).collect();
        assert_eq!(names, ["vda", "vda1", "vdb"]);
    }

    #[test]
    fn disk_before_a_path_through_an_nvme_controller_is_in_use() {
        let model = Model::new();
        let subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
        for (disk, number) in [("nvme0n2", "259:1"), ("nvme0n2/nvme0n2p1", "259:2"), ("nvme0n3", "259:3")] {
            model.write(&format!("{subsystem}/{disk}/dev"), format!("{number}\n"));
            let name = disk.rsplit('/').next().unwrap();
            model.link(&format!("sys/class/block/{name}"), &format!("{subsystem}/{disk}"));
        }
        model.write(&format!("{DEVICE}/nvme/nvme0/nvme0c0n2/size"), "2048\n");
        model.link("sys/class/block/nvme0c0n2", &format!("{DEVICE}/nvme/nvme0/nvme0c0n2"));
        model.mount("36 22 259:3 / /other rw - ext4 /dev/nvme0n3 rw");
        assert_eq!(model.usage(), None);
        model.mount("36 22 259:2 / /srv rw - ext4 /dev/nvme0n2p1 rw");
        assert_eq!(model.usage().unwrap(), "nvme0n2p1 is mounted on /srv");
        // The file system goes on by a controller elsewhere.
        let elsewhere = "sys/devices/pci0000:00/0000:00:02.0/nvme/nvme1/nvme0c1n2";
        model.write(&format!("{elsewhere}/size"), "2048\n");
        model.link("sys/class/block/nvme0c1n2", elsewhere);
        assert_eq!(model.usage(), None);
    }

    #[test]
    fn disk_that_is_swap_space_is_in_use() {
        let model = Model::new();
        model.write("proc/swaps", "Filename\t\tType\n/dev/zram0 partition 1 0 1\n/dev/vda1 partition 1 0 -2\n");
        assert_eq!(model.usage().unwrap(), "vda1 is swap space");
    }

    #[test]
    fn disk_below_the_device_mapper_is_in_use() {
        let model = Model::new();
        model.write("sys/devices/virtual/block/dm-0/dm/name", "vg-home\n");
        model.link(&format!("{DEVICE}/virtio0/block/vda/holders/dm-0"), "sys/devices/virtual/block/dm-0");
        assert_eq!(model.usage().unwrap(), "vg-home stands on vda");
    }

    #[test]
    fn function_that_a_program_has_open_through_vfio_is_in_use() {
        let model = Model::new();
        symlink("../../../../kernel/iommu_groups/3", model.root.path().join(DEVICE).join("iommu_group")).unwrap();
        model.write("proc/500/comm", "qemu\n");
        assert_eq!(model.usage(), None);
        fs::create_dir_all(model.root.path().join("proc/500/fd")).unwrap();
        symlink("/dev/vfio/3", model.root.path().join("proc/500/fd/9")).unwrap();
        assert_eq!(model.usage().unwrap(), "qemu (500) has it open through VFIO");
    }
}
