// SPDX-License-Identifier: MIT OR Apache-2.0

//! Host of guests under KVM, on any machine: a pseries guest itself, which TCG emulates and in which KVM-HV runs guests of
//! its own (nested virtualization).
//!
//! Its kernel is a distribution's. VMMs run in it with the paths that they have on this machine, as far as they need
//! them: directories are mounted by 9p. Each of a VMM's character devices is a virtio serial port, whose other end is a
//! socket on this machine.

use crate::{
    artifacts::{self, Artifacts, Kvm},
    guest::{console::Console, shell::Shell},
    observe::kernel_log,
    stream::{
        log_file::LogFile,
        socket::{self, UnixSocket},
    },
    vmm::machine::Firmware,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt::{self, Write as _},
    fs::{self, File},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

/// Options of the host. It has one CPU, because QEMU's `H_TLB_INVALIDATE` does nothing: another CPU would go on writing to
/// pages of a guest that were unmapped, or marked as clean by a migration. A VMM that ends powers it off.
const OPTIONS: &str = "\
    -machine pseries,cap-nested-hv=on -accel tcg,thread=multi -cpu power9 -smp 1 -m 6G \
    -nodefaults -nographic -no-reboot -device virtio-serial-pci";

/// Kernel arguments of the host. Its log has warnings and all that is worse.
const KERNEL_ARGUMENTS: &str = "console=hvc0 oops=panic panic=-1 nowatchdog loglevel=5";

/// Modules of the host's kernel, unless they are built in.
const MODULES: [&str; 3] = ["kvm_hv", "9p", "9pnet_virtio"];

/// Options of a machine under this KVM. The CPU that TCG emulates has no mitigations of Spectre, and the kernel has pages
/// of 4 KiB.
pub const CAPABILITIES: [&str; 2] =
    ["-machine", "cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off,cap-hpt-max-page-size=4k"];

/// Greatest number of VMMs in the life of one host.
const VMMS: usize = 4;

/// Name of the port of a guest's first console.
const CONSOLE: &str = "console";

/// Returns the name of the file with the kernel log of the guest in this place. A guest that migrates leaves the first.
fn log_of(place: usize) -> String {
    if place == 0 { "console.log".to_owned() } else { format!("console-{place}.log") }
}

/// Running host. Dropping it kills it with all that runs in it.
#[derive(Debug)]
pub struct KvmHost {
    child: Child,
    console: Console,
    shell: Shell,
    logs: PathBuf,
    free: VecDeque<Place>,
    marks: u32,
}

/// Place for one VMM: the streams of its character devices.
#[derive(Debug)]
pub struct Place {
    number: usize,
    /// Guest's first console.
    pub console: UnixStream,
    /// Guest's second console.
    pub shell: UnixStream,
    /// QMP monitor.
    pub monitor: UnixStream,
    /// Name of an abstract socket with a second QMP monitor.
    pub spare_monitor: String,
}

impl Place {
    /// Returns the number of the place in its host.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns the character devices of the VMM: as arguments of `-chardev` those of the consoles, and as arguments of
    /// `-qmp` those of the monitors.
    pub fn chardevs(&self) -> [String; 4] {
        let port = |name| format!("/dev/{name}-{}", self.number);
        let [console, shell] = [CONSOLE, "shell"].map(|name| format!("pipe,path={}", port(name)));
        let [monitor, spare_monitor] = ["monitor", "spare"].map(|name| format!("pipe:{}", port(name)));
        [console, shell, monitor, spare_monitor]
    }
}

/// Sockets of a place.
struct Sockets {
    console: UnixSocket,
    shell: UnixSocket,
    monitor: UnixSocket,
    spare_monitor: String,
}

impl Sockets {
    fn new() -> Result<Self> {
        let [console, shell, monitor] = ["console", "shell", "monitor"].map(UnixSocket::new);
        Ok(Self { console: console?, shell: shell?, monitor: monitor?, spare_monitor: socket::name("spare-monitor") })
    }

    /// Returns the ports by name, with their character devices on this machine.
    fn ports(&self) -> [(&'static str, String); 4] {
        [
            (CONSOLE, self.console.chardev()),
            ("shell", self.shell.chardev()),
            ("monitor", self.monitor.chardev()),
            ("spare", format!("socket,path={},abstract=on,server=on,wait=off", self.spare_monitor)),
        ]
    }

    fn accept(self, number: usize, child: &Child) -> Result<Place> {
        Ok(Place {
            number,
            console: self.console.accept(child)?,
            shell: self.shell.accept(child)?,
            monitor: self.monitor.accept(child)?,
            spare_monitor: self.spare_monitor,
        })
    }
}

impl KvmHost {
    /// Boots a host for VMMs whose logs are siblings of `logs`. Its own go to `logs`, too.
    pub fn boot(artifacts: &Artifacts, kvm: &Kvm, logs: &Path) -> Result<Self> {
        let mounts = mounts(artifacts, kvm, logs)?;
        let console = UnixSocket::new("host-console")?;
        let shell = UnixSocket::new("host-shell")?;
        let places: Vec<Sockets> = (0..VMMS).map(|_| Sockets::new()).collect::<Result<_>>()?;

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&artifacts.qemu_stock).arg("-L").arg(&artifacts.qemu_data);
        command.args(OPTIONS.split_whitespace()).args(Firmware::Vof.options());
        command.arg("-kernel").arg(&kvm.kernel).arg("-initrd").arg(&kvm.initramfs).args(["-append", KERNEL_ARGUMENTS]);
        let log = |name: &str| {
            let log = logs.join(name);
            let log = log.to_str().context("the path of the logs is no UTF-8")?;
            anyhow::Ok(format!("logfile={}", log.replace(',', ",,")))
        };
        command.args(["-chardev", &format!("{},id=console,{}", console.chardev(), log("host.log")?)]);
        command.args(["-chardev", &format!("{},id=shell", shell.chardev())]);
        command.args(["-serial", "chardev:console", "-serial", "chardev:shell"]);
        for (number, sockets) in places.iter().enumerate() {
            for (port, chardev) in sockets.ports() {
                let name = format!("{port}-{number}");
                let mut chardev = format!("{chardev},id={name}");
                if port == CONSOLE {
                    chardev += &format!(",{}", log(&log_of(number))?);
                }
                command.args(["-chardev", &chardev]);
                command.args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
            }
        }
        for (number, Mount { path, is_writable }) in mounts.iter().enumerate() {
            let readonly = if *is_writable { "off" } else { "on" };
            let path = path.to_str().context("a path is no UTF-8")?.replace(',', ",,");
            command.args([
                "-fsdev",
                &format!("local,id=mount{number},path={path},security_model=none,readonly={readonly},multidevs=remap"),
            ]);
            command.args(["-device", &format!("virtio-9p-pci,fsdev=mount{number},mount_tag=mount{number}")]);
        }
        let output = File::create(logs.join("host-qemu.log")).context("cannot write host-qemu.log")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("cannot run setpriv (Debian: apt install util-linux)")?;
        // Killed when it goes out of scope.
        let mut child = Guard(Some(child));
        let running = child.0.as_ref().context("no host")?;
        let console = Console::of(&console.accept(running)?)?;
        let shell = shell.accept(running)?;
        let places = places.into_iter().enumerate().map(|(number, sockets)| sockets.accept(number, running));
        let free = places.collect::<Result<_>>()?;
        let log_file = LogFile::create(&logs.join("host-shell.log")).context("cannot write host-shell.log")?;
        let mut shell = Shell::connect(shell, log_file).context("the host of KVM guests does not boot")?;
        shell.sh(&set_up(&mounts)).context("the host of KVM guests cannot be set up")?;
        let child = child.0.take().context("no host")?;
        Ok(Self { child, console, shell, logs: logs.to_owned(), free, marks: 0 })
    }

    /// Returns a place for one more VMM.
    pub fn place(&mut self) -> Result<Place> {
        self.free.pop_front().context("no place for one more VMM in the host of KVM guests")
    }

    /// Starts the VMM of a place. `logs` has its command line in a file.
    pub fn start(&mut self, place: &Place, logs: &Path) -> Result<()> {
        let (number, logs) = (place.number, quoted(logs)?);
        let run = format!(r#"echo $$ > /tmp/vmm-{number}; eval "exec $(cat "$0"/command)""#);
        // The last VMM that ends, ends the host.
        let end = format!("rm /tmp/vmm-{number}; [ -n \"$(ls /tmp | grep vmm-)\" ] || poweroff -f");
        let line = format!("touch /tmp/vmm-{number}; {{ sh -c '{run}' {logs} > {logs}/qemu.log 2>&1; {end}; }} &");
        self.shell.sh(&line).context("starting a VMM").map(drop)
    }

    /// Ends the VMM of a place, and waits for its end. Another one must be running.
    pub fn end(&mut self, number: usize) -> Result<()> {
        let file = format!("/tmp/vmm-{number}");
        self.shell.sh(&format!("kill -9 $(cat {file}); while [ -e {file} ]; do usleep 1000; done")).map(drop)
    }

    /// Returns the host's process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Runs a command in the host and returns its output.
    pub fn sh(&mut self, command: &str) -> Result<String> {
        self.shell.sh(command)
    }

    /// Returns the number of exits of the guests that run.
    pub fn exits(&mut self) -> Result<u64> {
        let counts = self.shell.sh("cat /sys/kernel/debug/kvm/*/sum_exits")?;
        counts.lines().try_fold(0, |sum, count| Ok(sum + count.trim().parse::<u64>()?))
    }

    /// Fails if the host's kernel complains, or if no guest runs under its KVM. Every story ends with it.
    pub fn inspect(&mut self) -> Result<()> {
        let exits = self.exits()?;
        ensure!(exits > 0, "no guest has left KVM");
        fs::write(self.logs.join(EXITS), format!("{exits}\n"))?;
        self.marks += 1;
        let mark = format!("papr-unplug: mark {}", self.marks);
        self.shell.sh(&format!("echo '<1>{mark}' > /dev/kmsg"))?;
        self.console.wait_for(&mark).context("waiting for the host's kernel log")?;
        let reports = kernel_log::reports(self.console.log());
        ensure!(reports.is_empty(), "the host's kernel complains:\n{}", reports.join("\n"));
        let taints = self.shell.sh("cat /proc/sys/kernel/tainted")?;
        ensure!(taints.trim() == "0", "the host's kernel is tainted: {taints}");
        Ok(())
    }
}

/// File in the logs of a VM with the number of its exits from KVM.
const EXITS: &str = "kvm-exits";

/// Guests of this checkout that were inspected, and how many times they left KVM before.
#[derive(Debug, Default)]
pub struct Exits {
    guests: u64,
    exits: u64,
}

impl Exits {
    /// Counts the guests that were inspected since then.
    pub fn since(begun: SystemTime) -> Result<Self> {
        let mut sum = Self::default();
        for entry in fs::read_dir(artifacts::target().join("vm")).into_iter().flatten() {
            let file = entry?.path().join(EXITS);
            if file.metadata().and_then(|found| found.modified()).is_ok_and(|at| at >= begun) {
                sum.guests += 1;
                sum.exits += fs::read_to_string(&file)?.trim().parse::<u64>()?;
            }
        }
        Ok(sum)
    }
}

impl fmt::Display for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} guests were inspected under KVM, after {} exits", self.guests, self.exits)
    }
}

impl Drop for KvmHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Process that is killed unless it is taken.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Directory of this machine that the host has at the same path.
#[derive(Debug)]
struct Mount {
    path: PathBuf,
    is_writable: bool,
}

/// Returns the directories of the files that VMMs read and write.
fn mounts(artifacts: &Artifacts, kvm: &Kvm, logs: &Path) -> Result<Vec<Mount>> {
    let logs = logs.parent().context("logs without a directory")?;
    let files = [&artifacts.kernel, &artifacts.initramfs, &kvm.qemu_stock, &kvm.qemu];
    let real = files.iter().map(|file| file.canonicalize().with_context(|| format!("no {}", file.display())));
    let files = real.collect::<Result<Vec<PathBuf>>>()?;
    let read: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let read = read
        .into_iter()
        .filter(|dir| !dir.starts_with(logs))
        .map(|dir| Mount { path: dir.to_owned(), is_writable: false });
    Ok(read.chain([Mount { path: logs.to_owned(), is_writable: true }]).collect())
}

/// Returns the line of shell that prepares the host.
fn set_up(mounts: &[Mount]) -> String {
    let mut line = format!("set +m; for m in {}; do modprobe -q $m; done; [ -c /dev/kvm ]", MODULES.join(" "));
    let last = format!("spare-{}", VMMS - 1);
    let _ = write!(line, " && while ! grep -qx {last} /sys/class/virtio-ports/*/name; do usleep 1000; done");
    line += " && for p in /sys/class/virtio-ports/*; do ln -s ${p##*/} /dev/$(cat $p/name); done";
    for (number, Mount { path, is_writable }) in mounts.iter().enumerate() {
        let path = path.display();
        let options = if *is_writable { "cache=mmap" } else { "ro,cache=loose" };
        let _ = write!(line, " && mkdir -p '{path}' && mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,");
        let _ = write!(line, "{options} mount{number} '{path}'");
    }
    line
}

fn quoted(path: &Path) -> Result<String> {
    let path = path.to_str().context("a path is no UTF-8")?;
    ensure!(!path.contains('\''), "there is a quote in {path}");
    Ok(format!("'{path}'"))
}
