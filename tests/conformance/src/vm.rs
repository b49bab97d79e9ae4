// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest that boots in this project's QEMU and keeps the contract of `spec/conformance.md`.

use crate::{
    bench::{Bench, Device},
    contract::{Answer, Command},
    transcript::{Asked, Entry, Offered, Transcript},
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_differential::device_tree;
use papr_unplug_tests::{
    artifacts::{Artifacts, target},
    cpio::Archive,
    deadline::Deadline,
    guest::console::Console,
    pairing::Side,
    stream::{lines::Lines, log_file::LogFile},
    vmm::{
        machine::Machine,
        qemu::{Qemu, Start},
        qmp::Qmp,
    },
};
use papr_unplug_wire::wire::{drc::DrcIndex, offer::Offer};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// Directory with a guest: `kernel`, `initramfs`, and the kernel's `arguments` if it needs any.
#[derive(Clone, Debug)]
pub struct GuestDir(pub PathBuf);

/// Such a guest, in a running VMM.
#[derive(Debug)]
pub struct Vm {
    qemu: Qemu,
    qmp: Qmp,
    /// The kernel log. It is read so that the guest can write on.
    _console: Console,
    lines: Lines,
    stream: UnixStream,
    log_file: LogFile,
    /// QEMU's output, with the trace.
    trace: File,
    /// The beginning of a line of it that was not complete when it was read.
    torn: String,
    /// The number of hot plug events that the guest's kernel has been sent since it booted.
    events: u32,
    /// True for each of CPUs and memory that the guest was told to keep.
    keeps_cpu: bool,
    keeps_memory: bool,
    transcript: Transcript,
}

/// The VMM's offer to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithOffer {
    /// As this project's QEMU makes it.
    Yes,
    /// None (`cap-unplug-reports=off`).
    No,
}

/// Line of a guest that has booted.
const READY: &str = "ready";

/// Name of the first process of this project's own guests, in their initramfs.
const CONTRACT: &str = "contract";

impl GuestDir {
    /// Writes one of this project's own guests, and returns its directory: the test kernel with the module, or without.
    pub fn of_ours(artifacts: &Artifacts, side: Side) -> Result<Self> {
        let dir = target().join("conformance").join(side.to_string());
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::copy(&artifacts.kernel, dir.join("kernel")).context("cannot copy the kernel")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest").join(CONTRACT);
        let script = fs::read(&script).with_context(|| format!("cannot read {}", script.display()))?;
        let mut out = File::create(dir.join("initramfs"))?;
        out.write_all(&fs::read(&artifacts.initramfs)?)?;
        // The kernel unpacks concatenated archives one after the other.
        let mut archive = Archive::new(out);
        archive.file(CONTRACT, 0o755, &script)?;
        archive.finish()?;
        // The kernel gives what it does not know to the first process, as variables.
        let module = if side == Side::Ours { "module=papr_unplug" } else { "module=none" };
        fs::write(dir.join("arguments"), format!("rdinit=/{CONTRACT} {module}\n"))?;
        Ok(Self(dir))
    }

    fn arguments(&self) -> Result<String> {
        let file = self.0.join("arguments");
        if !file.exists() {
            return Ok(String::new());
        }
        Ok(fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?.trim().to_owned())
    }
}

impl Vm {
    /// Boots a guest and waits until it is ready. Logs go to `target/vm/NAME`.
    pub fn boot(artifacts: &Artifacts, guest: &GuestDir, offer: WithOffer, name: &str) -> Result<Self> {
        let logs = target().join("vm").join(name);
        if logs.exists() {
            fs::remove_dir_all(&logs)?;
        }
        fs::create_dir_all(&logs)?;
        let of_guest = |name: &str| {
            let file = guest.0.join(name);
            ensure!(file.is_file(), "a guest has to have the file {}", file.display());
            Ok(file)
        };
        let artifacts =
            Artifacts { kernel: of_guest("kernel")?, initramfs: of_guest("initramfs")?, ..artifacts.clone() };
        // The guest runs when its offer has been read: a guest can change its device tree.
        let mut options = vec!["-S", "-trace", "spapr_unplug_*"];
        if offer == WithOffer::No {
            options.extend(["-machine", "cap-unplug-reports=off"]);
        }
        let start = Start {
            kernel_arguments: guest.arguments()?.into(),
            ..Start::with_options(options.into_iter().map(str::to_owned))
        };
        let qemu = Qemu::start(&artifacts, Side::Ours, Machine::Pseries, &start, &logs)?;
        let qmp = Qmp::connect(qemu.monitor.try_clone()?, LogFile::create(&logs.join("qmp.log"))?)?;
        let log_file = LogFile::create(&logs.join("contract.log"))?;
        let observed = log_file.clone();
        let lines = Lines::of(&qemu.shell, move |line| observed.add(line))?;
        let mut vm = Self {
            stream: qemu.shell.try_clone()?,
            trace: File::open(logs.join("qemu.log"))?,
            _console: Console::of(&qemu.console)?,
            qemu,
            qmp,
            lines,
            log_file,
            torn: String::new(),
            events: 0,
            keeps_cpu: false,
            keeps_memory: false,
            transcript: Transcript { offer: None, entries: vec![Entry::Begins] },
        };
        vm.transcript.offer = vm.offered(&logs.join("tree"))?;
        ensure!(vm.transcript.offer.is_some() == (offer == WithOffer::Yes), "the VMM offers otherwise than it is told");
        vm.qmp.execute("cont", json!({}))?;
        vm.await_ready().context("the guest does not print `ready` on its second console")?;
        Ok(vm)
    }

    /// Reads the offer from the device tree.
    fn offered(&mut self, file: &Path) -> Result<Option<Offered>> {
        self.qmp.execute("dumpdtb", json!({ "filename": file }))?;
        let tree = fs::read(file)?;
        let offer =
            device_tree::properties(&tree).into_iter().find(is_offer).and_then(|it| Offer::from_bytes(it.value));
        Ok(offer.map(|offer| Offered {
            indicator: offer.indicator(),
            classes: offer.classes(),
            features: offer.features(),
        }))
    }

    fn await_ready(&mut self) -> Result<()> {
        let deadline = Deadline::start();
        while self.lines.next(deadline)?.text.trim() != READY {}
        self.keeps_cpu = false;
        self.keeps_memory = false;
        self.drain()
    }

    /// Gives a command to the guest, and waits for the answer.
    fn command(&mut self, command: Command) -> Result<Answer> {
        self.drain()?;
        self.log_file.add(&format!("-> {command}"));
        self.stream.write_all(format!("{command}\n").as_bytes()).context("the VMM ended")?;
        let deadline = Deadline::start();
        let answer = loop {
            let line = self.lines.next(deadline).with_context(|| format!("waiting for the answer to `{command}`"))?;
            ensure!(line.text.trim() != READY, "the guest has booted anew while it obeyed `{command}`");
            if let Some(answer) = Answer::parse(&line.text) {
                break answer;
            }
        };
        self.drain()?;
        Ok(answer)
    }

    /// Reads the trace up to now. QEMU writes it before it answers a command.
    fn drain(&mut self) -> Result<()> {
        self.qmp.round_trip()?;
        let mut more = Vec::new();
        self.trace.read_to_end(&mut more)?;
        let text = std::mem::take(&mut self.torn) + &String::from_utf8_lossy(&more);
        let (whole, torn) = text.rsplit_once('\n').unwrap_or(("", &text));
        self.torn = torn.to_owned();
        for entry in whole.lines().filter_map(Entry::parse) {
            let entry = match entry {
                Entry::Asked(asked) => Entry::Asked(Asked { kept: self.keeps(asked.first), ..asked }),
                other => other,
            };
            self.transcript.entries.push(entry);
        }
        Ok(())
    }

    /// Returns whether the guest was told to keep the device at a connector.
    fn keeps(&self, connector: DrcIndex) -> bool {
        match connector.0 >> 28 {
            1 => self.keeps_cpu,
            8 => self.keeps_memory,
            _ => false,
        }
    }

    /// Adds an entry behind all that has happened.
    fn mark(&mut self, entry: Entry) -> Result<()> {
        self.drain()?;
        self.transcript.entries.push(entry);
        Ok(())
    }

    fn add(&mut self, device: Value) -> Result<()> {
        self.qmp.execute("device_add", device)?;
        self.events += 1;
        self.ended()
    }

    /// Waits until the guest has worked on all hot plug events that its kernel was sent.
    fn ended(&mut self) -> Result<()> {
        match self.command(Command::Ended(self.events))? {
            Answer::Done => Ok(()),
            Answer::Cannot(why) => bail!("a guest has to have the command `ended`: {why}"),
        }
    }
}

impl Bench for Vm {
    fn plug(&mut self, device: Device) -> Result<()> {
        match device {
            Device::Cpu => {
                let possible = self.qmp.execute("query-hotpluggable-cpus", json!({}))?;
                let mut cores = possible.as_array().into_iter().flatten();
                let core = cores.find(|core| core["props"]["core-id"] == 1).context("the VMM has no core 1")?;
                self.add(json!({ "driver": core["type"], "id": id(device), "core-id": 1 }))
            }
            Device::Dimm | Device::Spare => {
                let size = if device == Device::Dimm { 512_u64 << 20 } else { 256 << 20 };
                let memory = format!("{}-memory", id(device));
                let backend = json!({ "qom-type": "memory-backend-ram", "id": memory, "size": size });
                self.qmp.execute("object-add", backend)?;
                self.add(json!({ "driver": "pc-dimm", "id": id(device), "memdev": memory }))
            }
        }
    }

    fn keep(&mut self, device: Device, kept: bool) -> Result<Answer> {
        let command = match (device, kept) {
            (Device::Cpu, true) => Command::KeepCpu,
            (Device::Cpu, false) => Command::FreeCpu,
            (Device::Dimm | Device::Spare, true) => Command::KeepMemory,
            (Device::Dimm | Device::Spare, false) => Command::FreeMemory,
        };
        let answer = self.command(command)?;
        let keeps = if device == Device::Cpu { &mut self.keeps_cpu } else { &mut self.keeps_memory };
        *keeps = kept && answer.is_done();
        Ok(answer)
    }

    fn ask(&mut self, device: Device, times: u32) -> Result<bool> {
        self.drain()?;
        let before = self.transcript.entries.len();
        self.qmp.execute("stop", json!({}))?;
        for _ in 0..times {
            self.qmp.execute("device_del", json!({ "id": id(device) }))?;
        }
        self.events += times;
        self.drain()?;
        self.qmp.execute("cont", json!({}))?;
        let made = &self.transcript.entries[before..];
        Ok(made.iter().all(|entry| !matches!(entry, Entry::Asked(asked) if !asked.token.is_some())))
    }

    fn settle(&mut self) -> Result<()> {
        self.ended()?;
        self.mark(Entry::Settled)
    }

    fn give_back(&mut self, device: Device) -> Result<Answer> {
        let devices = self.qmp.execute("query-memory-devices", json!({}))?;
        let mut data = devices.as_array().into_iter().flatten().map(|device| &device["data"]);
        let dimm = data.find(|data| data["id"] == id(device)).context("only a DIMM is given back unasked")?;
        let address = dimm["addr"].as_u64().context("a DIMM without an address")?;
        // A DRC index of QEMU has the connector's type in its top four bits (8 for an LMB) and the LMB's number below.
        let index = DrcIndex(0x8000_0000 | u32::try_from(address >> 28)?);
        self.mark(Entry::GivesBack(index))?;
        let answer = self.command(Command::GiveBack(index))?;
        if answer.is_done() {
            self.mark(Entry::GaveBack(index))?;
        }
        Ok(answer)
    }

    fn stop(&mut self) -> Result<Answer> {
        self.mark(Entry::Stops)?;
        let answer = self.command(Command::Stop)?;
        if answer.is_done() {
            self.mark(Entry::Stopped)?;
        }
        Ok(answer)
    }

    fn start(&mut self) -> Result<Answer> {
        self.mark(Entry::Begins)?;
        self.command(Command::Start)
    }

    fn reset(&mut self) -> Result<()> {
        let on_reboot = |what: &str| json!({ "reboot": what });
        self.qmp.execute("set-action", on_reboot("reset"))?;
        self.qmp.execute("stop", json!({}))?;
        self.mark(Entry::Begins)?;
        self.events = 0;
        self.qmp.execute("system_reset", json!({}))?;
        self.qmp.execute("cont", json!({}))?;
        self.await_ready().context("the guest does not print `ready` after a reset")?;
        // From here on the VMM ends if the guest panics.
        self.qmp.execute("set-action", on_reboot("shutdown"))?;
        Ok(())
    }

    fn finish(mut self) -> Result<Transcript> {
        self.drain()?;
        ensure!(self.qemu.ended().is_none(), "the VMM ended");
        Ok(self.transcript)
    }
}

/// Returns whether a property is the offer.
pub(crate) fn is_offer(property: &device_tree::Property<'_>) -> bool {
    property.node == b"rtas" && property.name == Offer::PROPERTY.to_bytes()
}

/// Returns the device's id in QMP.
fn id(device: Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Dimm => "dimm",
        Device::Spare => "spare",
    }
}
