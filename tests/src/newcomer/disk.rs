// SPDX-License-Identifier: MIT OR Apache-2.0

//! Disks of a guest with an installed Debian, and what it is booted from.

use crate::{artifacts::Artifacts, cpio::Archive, newcomer::host::Host};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Drivers of the disk, in the order in which they are loaded.
const DRIVERS: [&str; 11] = [
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "crypto/crc32c_generic",
    "lib/crc16",
    "fs/mbcache",
    "fs/jbd2/jbd2",
    "fs/ext4/ext4",
];

/// First process. It mounts the disks, configures the Debian there, and starts the init there.
const BOOT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
for driver in /drivers/*; do insmod $driver; done
mount -t ext4 /dev/vda /disk
mkdir -p /disk/srv
cp -a /files/. /disk/
mount -t ext4 -o ro /dev/vdb /disk/srv
mount --move /dev /disk/dev
exec switch_root /disk /sbin/init
";

/// Kernel arguments with which [`BOOT`] is the first process.
pub const KERNEL_ARGUMENTS: &str = "rdinit=/boot-disk";

/// Configuration as an installer leaves it: nothing is asked at the first boot, and apt's mirror is the second disk. Commands are
/// answered with yes.
const FILES: [(&str, &str); 8] = [
    ("etc/hostname", "guest\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("etc/fstab", "/dev/vda / ext4 defaults 0 0\n"),
    ("etc/apt/sources.list", "deb [trusted=yes] file:/srv ./\n"),
    ("etc/apt/apt.conf.d/newcomer", APT),
    // The disk is thrown away: dpkg does not wait for each of ten thousand headers to be on it.
    ("etc/dpkg/dpkg.cfg.d/newcomer", "force-unsafe-io\n"),
    // Emulation is slow.
    ("etc/systemd/system.conf.d/newcomer.conf", "[Manager]\nDefaultTimeoutStartSec=900\n"),
    ("etc/systemd/system/shell.service", SHELL),
];

/// Links to units that are started.
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

/// Configuration of apt: it says yes, prints no progress, and fetches as root, because there may be no other user.
pub const APT: &str = "APT::Get::Assume-Yes \"true\";\nAPT::Sandbox::User \"root\";\nquiet \"1\";\n";

/// Root shell for [`Shell`](crate::guest::shell::Shell).
const SHELL: &str = "\
[Unit]
Description=Root shell on the second console

[Service]
Type=idle
WorkingDirectory=/root
Environment=HOME=/root PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
ExecStart=/bin/sh -c 'echo \"papr-unplug guest ready\"; exec sh -i'
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/hvc1
SendSIGHUP=yes
";

/// Writes a file system of the files in `tree` to a new disk. All of them belong to root there.
///
/// The disk is made with the host's programs, in its directory `/run`.
pub fn write(host: &Host, tree: &Path, name: &str, size: &str) -> Result<PathBuf> {
    let there = Host { packages: tree.to_owned(), ..host.clone() };
    let made = there.run(&format!("mke2fs -q -t ext4 -d . /run/{name} {size}"))?;
    ensure!(made.status == 0, "cannot write a disk of {}: {}", tree.display(), made.text);
    Ok(host.run.join(name))
}

/// Copies packages to a directory that apt takes for a mirror.
pub fn mirror(host: &Host, packages: &Path, to: &Path) -> Result<()> {
    const INDEX: &str = "for deb in *.deb; do dpkg-deb -f $deb && echo Filename: ./$deb && \
                         echo Size: $(stat -c %s $deb) && echo SHA256: $(sha256sum < $deb | cut -d ' ' -f 1) && echo; done";
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(packages).with_context(|| format!("cannot read {}", packages.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    let index = Host { packages: to.to_owned(), ..host.clone() }.run(INDEX)?;
    ensure!(index.status == 0, "cannot list the packages in {}: {}", to.display(), index.text);
    fs::write(to.join("Packages"), index.text).context("cannot write the mirror's index")
}

/// Writes the initramfs of a Debian to `dir`, with the drivers of its kernel. Returns what the Debian in the directory `tree`
/// is booted from.
pub fn boot_files(artifacts: &Artifacts, tree: &Path, dir: &Path) -> Result<Artifacts> {
    let modules = tree.join("usr/lib/modules");
    let release = fs::read_dir(&modules).with_context(|| format!("cannot read {}", modules.display()))?.next();
    let release = release.context("the guest has no kernel")??.file_name();
    let kernel = tree.join(format!("boot/vmlinux-{}", release.to_string_lossy()));
    let drivers = modules.join(&release).join("kernel");

    let initramfs = dir.join("initramfs.cpio");
    let write = || {
        let mut out = File::create(&initramfs)?;
        io::copy(&mut File::open(&artifacts.initramfs)?, &mut out)?;
        let mut archive = Archive::new(out);
        archive.directory("disk")?;
        archive.directory("drivers")?;
        archive.directory("files")?;
        for (number, driver) in DRIVERS.iter().enumerate() {
            let content = fs::read(drivers.join(format!("{driver}.ko")))?;
            archive.file(&format!("drivers/{number:02}"), 0o644, &content)?;
        }
        for (name, text) in FILES {
            let mut directories: Vec<&Path> = Path::new(name).ancestors().skip(1).collect();
            directories.pop();
            for directory in directories.iter().rev() {
                archive.directory(&format!("files/{}", directory.display()))?;
            }
            archive.file(&format!("files/{name}"), 0o644, text.as_bytes())?;
        }
        archive.directory(&format!("files/{WANTS}"))?;
        archive.link(&format!("files/{WANTS}/shell.service"), "../shell.service")?;
        archive.file("boot-disk", 0o755, BOOT.as_bytes())?;
        archive.finish()?.flush()
    };
    write().with_context(|| format!("cannot write {}", initramfs.display()))?;
    Ok(Artifacts { kernel, initramfs, ..artifacts.clone() })
}
