// SPDX-License-Identifier: MIT OR Apache-2.0

//! Session of the soak test: one VM, and random steps, after each of which every request has ended.

use super::{
    footprint::Footprint,
    ledger::{Class, Ledger},
};
use crate::{
    artifacts::Artifacts,
    device::{
        Device as _,
        cpu::Cpu,
        dimm::{Dimm, LMB},
    },
    dice::Dice,
    guest::shell::Started,
    pairing::Pairing,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start, qmp::Moment},
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::{Value, json};

/// Largest number of cores and DIMMs besides those at boot.
const CPUS: usize = 3;
const DIMMS: usize = 4;
/// Requests for one device that the VMM keeps open (`host-vmm/src/config.rs`).
const OPEN: usize = 64;
/// Number of cores that can be added before QEMU has no room for another thread.
const MAX_ADDED_CORES: u32 = 60;

/// Unloads the module and loads it again.
const RELOAD: &str = "rmmod papr_unplug && insmod /lib/modules/papr_unplug.ko unsafe_kprobes=1";

/// CPUs that a guest boots with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootCpus {
    /// One CPU, under a load that leaves it to others most of the time.
    One,
    /// Four CPUs, all under load.
    Four,
}

impl BootCpus {
    fn machine(self) -> Machine {
        match self {
            Self::One => Machine::PseriesForLong,
            Self::Four => Machine::PseriesOfFourCpus,
        }
    }

    fn count(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }

    /// Returns arguments of the kernel. With several CPUs, a CPU that allocates while another one takes the last movable
    /// memory away crashes Linux (seen with 7.2: `zone_statistics()` reads a zone that is no longer in the list). So some
    /// of the memory that is there from the start is movable.
    fn kernel_arguments(self) -> &'static str {
        match self {
            Self::One => "",
            Self::Four => "movablecore=256M",
        }
    }

    /// Returns the command that starts the load: memory that is written and freed all the time. `$churn` is set to its
    /// processes.
    fn churn(self) -> String {
        let pause = match self {
            Self::One => "sleep 1; ",
            Self::Four => "",
        };
        format!(
            "churn=; for n in $(seq {}); do \
             {{ while :; do dd if=/dev/zero of=/tmp/churn.$n bs=64k count=64 2>/dev/null; \
             cat /tmp/churn.$n > /dev/null; rm /tmp/churn.$n; {pause}done & }}; churn=\"$churn $!\"; done",
            self.count()
        )
    }
}

/// VM of a session.
#[derive(Debug)]
pub struct SoakSession {
    vm: Vm,
    boot_cpus: BootCpus,
    dice: Dice,
    /// Requests and their ends.
    pub ledger: Ledger,
    read: Moment,
    cpus: Vec<Cpu>,
    dimms: Vec<Dimm>,
    added_cores: u32,
    cores: u32,
    is_resetting: bool,
    /// Number of times that each step was taken.
    pub done: std::collections::BTreeMap<&'static str, u64>,
}

/// Step: description, weight, and function.
type Step = (&'static str, u32, fn(&mut SoakSession) -> Result<()>);

/// Steps of a session.
const STEPS: &[Step] = &[
    ("a core is added", 12, SoakSession::plug_cpu),
    ("a DIMM is added", 20, SoakSession::plug_dimm),
    ("devices are requested", 16, SoakSession::request_some),
    ("DIMMs are vetoed", 14, SoakSession::veto),
    ("the last CPU is requested", 10, SoakSession::last_cpu),
    ("all devices are requested twice", 4, SoakSession::request_all_twice),
    ("the module is reloaded meanwhile", 10, SoakSession::reload),
    ("pages of a DIMM are held", 6, SoakSession::hold),
    ("CPUs go offline and online meanwhile", 8, SoakSession::toggle_cpus),
    ("the administrator removes DIMMs meanwhile", 8, SoakSession::write_dlpar),
    ("the probes are off for a while", 6, SoakSession::switch_probes),
    ("an addition fails", 6, SoakSession::fail_addition),
    ("the guest is reset", 1, SoakSession::reset),
];

impl SoakSession {
    /// Boots the VM. Logs go to `target/vm/NAME`.
    pub fn begin(artifacts: &Artifacts, boot_cpus: BootCpus, dice: Dice, name: &str) -> Result<Self> {
        let start = Start { kernel_arguments: boot_cpus.kernel_arguments().into(), ..Start::with_slof() };
        let mut vm = Vm::launch_as(artifacts, Pairing::OURS, boot_cpus.machine(), &start, name)?.up()?;
        vm.guest.sh(&boot_cpus.churn())?;
        let read = vm.qmp.moment();
        Ok(Self {
            vm,
            boot_cpus,
            dice,
            ledger: Ledger::default(),
            read,
            cpus: Vec::new(),
            dimms: Vec::new(),
            added_cores: 0,
            cores: 0,
            is_resetting: false,
            done: std::collections::BTreeMap::new(),
        })
    }

    /// Returns whether no more cores can be added to this VM.
    pub fn is_spent(&self) -> bool {
        self.added_cores >= MAX_ADDED_CORES
    }

    /// Measures the footprint of the VMM and of the guest's kernel.
    pub fn footprint(&mut self) -> Result<Footprint> {
        Footprint::of(&mut self.vm)
    }

    /// Takes a random step, and waits until every request has ended.
    pub fn step(&mut self) -> Result<()> {
        let mut chance = self.dice.below(STEPS.iter().map(|(_, weight, _)| weight).sum());
        for (what, weight, step) in STEPS {
            if chance < *weight {
                *self.done.entry(what).or_default() += 1;
                step(self).context(*what)?;
                return self.settle().context(*what);
            }
            chance -= weight;
        }
        Ok(())
    }

    /// Ends the load and inspects the guest's kernel.
    pub fn end(mut self) -> Result<Ledger> {
        self.vm.guest.sh("kill $churn")?;
        let counters = self.vm.counters()?;
        ensure!(counters.get("overlapped") == 0, "removals overlapped: {counters:?}");
        self.vm.inspect()?;
        Ok(self.ledger)
    }

    fn plug_cpu(&mut self) -> Result<()> {
        if self.cpus.len() < CPUS && !self.is_spent() {
            self.added_cores += 1;
            // The lowest core id that is free.
            let taken: Vec<u32> = self.cpus.iter().map(|cpu| cpu.connector().0 & 0xFFFF).collect();
            self.cores = (self.boot_cpus.count()..).find(|core| !taken.contains(core)).unwrap_or(1);
            let cpu = self.vm.plug_cpu(self.cores)?;
            self.cpus.push(cpu);
        }
        Ok(())
    }

    fn plug_dimm(&mut self) -> Result<()> {
        if self.dimms.len() < DIMMS {
            let size = u64::from(1 + self.dice.below(3)) * LMB;
            let dimm = self.vm.plug_dimm(size)?;
            self.dimms.push(dimm);
        }
        Ok(())
    }

    fn request_some(&mut self) -> Result<()> {
        for (device, class) in self.devices() {
            if self.dice.one_in(2) {
                self.request(&device, class)?;
            }
        }
        Ok(())
    }

    fn request_all_twice(&mut self) -> Result<()> {
        for _ in 0..2 {
            for (device, class) in self.devices() {
                self.request(&device, class)?;
            }
        }
        Ok(())
    }

    fn veto(&mut self) -> Result<()> {
        self.vm.veto_offlining()?;
        let rounds = 1 + self.dice.below(16);
        self.request_repeatedly(rounds)?;
        self.settle()?;
        self.vm.allow_offlining()
    }

    /// Requests all DIMMs `rounds` times, and cores now and then.
    fn request_repeatedly(&mut self, rounds: u32) -> Result<()> {
        for _ in 0..rounds {
            for (device, class) in self.devices() {
                if class == Class::Memory || self.dice.one_in(8) {
                    self.request(&device, class)?;
                }
            }
        }
        Ok(())
    }

    /// Requests a core that is the last one online.
    fn last_cpu(&mut self) -> Result<()> {
        if self.cpus.is_empty() {
            self.plug_cpu()?;
        }
        let Some(last) = self.random_cpu() else { return Ok(()) };
        self.set_cpu(core(&last), true)?;
        let others: Vec<u32> =
            (0..self.boot_cpus.count()).chain(self.cpus.iter().map(core)).filter(|n| *n != core(&last)).collect();
        for cpu in &others {
            self.set_cpu(*cpu, false)?;
        }
        for _ in 0..=self.dice.below(32) {
            self.request(last.id(), Class::Cpu)?;
        }
        self.settle()?;
        for cpu in &others {
            self.set_cpu(*cpu, true)?;
        }
        Ok(())
    }

    fn reload(&mut self) -> Result<()> {
        let vetoed = self.dice.one_in(2);
        if vetoed {
            self.vm.veto_offlining()?;
        }
        let reloads: Vec<Started> =
            (0..=self.dice.below(3)).map(|_| self.vm.guest.start(RELOAD)).collect::<Result<_>>()?;
        let rounds = if vetoed { 1 + self.dice.below(16) } else { 1 };
        self.request_repeatedly(rounds)?;
        for reload in reloads {
            let output = self.vm.guest.finish(&reload)?;
            ensure!(output.status == 0, "the module does not come back: {}", output.text);
        }
        self.settle()?;
        if vetoed {
            self.vm.allow_offlining()?;
        }
        Ok(())
    }

    fn hold(&mut self) -> Result<()> {
        if self.dimms.is_empty() {
            return Ok(());
        }
        let pages = self.vm.hold_pages()?;
        for (device, class) in self.devices() {
            if class == Class::Memory || self.dice.one_in(2) {
                self.request(&device, class)?;
            }
        }
        if self.dice.one_in(2) {
            self.vm.guest.sh(RELOAD)?;
        }
        let vetoed = self.dice.one_in(2);
        if vetoed {
            self.vm.veto_offlining()?;
        }
        self.vm.release_pages(pages)?;
        self.settle()?;
        if vetoed {
            self.vm.allow_offlining()?;
        }
        Ok(())
    }

    fn toggle_cpus(&mut self) -> Result<()> {
        let Some(cpu) = self.random_cpu() else { return Ok(()) };
        let other = if self.dice.one_in(2) { core(&cpu) } else { 0 };
        let online = format!("/sys/devices/system/cpu/cpu{other}/online");
        // The core may be released before the loop ends.
        let toggling = format!("for n in $(seq 10); do echo 0 > {online}; echo 1 > {online}; done 2>/dev/null; true");
        let toggling = self.vm.guest.start(&toggling)?;
        self.request(cpu.id(), Class::Cpu)?;
        if let Some(dimm) = self.dimms.first().cloned() {
            self.request(dimm.id(), Class::Memory)?;
        }
        self.vm.guest.finish(&toggling)?;
        self.settle()?;
        self.set_cpu(0, true)
    }

    /// Removes DIMMs inside the guest at the same time. All these removals fail, because the memory is vetoed.
    fn write_dlpar(&mut self) -> Result<()> {
        self.vm.veto_offlining()?;
        let writes: Vec<DrcIndex> = self.dimms.iter().map(|dimm| dimm.connector(0)).collect();
        let mut commands = vec!["true".to_owned()];
        commands.extend(writes.iter().map(|index| format!("echo memory remove index {index} > /sys/kernel/dlpar")));
        let write = self.vm.guest.start(&format!("{{ {}; }} 2>/dev/null", commands.join("; ")))?;
        let rounds = 1 + self.dice.below(16);
        self.request_repeatedly(rounds)?;
        self.vm.guest.finish(&write)?;
        self.settle()?;
        self.vm.allow_offlining()
    }

    /// Requests devices while no probe of the kernel sees the removals.
    fn switch_probes(&mut self) -> Result<()> {
        // Where they stay on, the requests are answered as ever.
        let _are_off = self.vm.switch_probes_off()?;
        let rounds = 1 + self.dice.below(8);
        self.request_repeatedly(rounds)?;
        if self.dice.one_in(2) {
            self.vm.guest.sh(RELOAD)?;
        }
        if self.dice.one_in(2) {
            self.settle()?;
        }
        self.vm.switch_probes_on()
    }

    /// Adds a DIMM that the guest cannot put online.
    fn fail_addition(&mut self) -> Result<()> {
        if self.dimms.len() < DIMMS {
            let size = u64::from(1 + self.dice.below(3)) * LMB;
            self.vm.veto_onlining()?;
            let dimm = self.vm.plug_dimm_that_fails(size)?;
            self.dimms.push(dimm);
            self.vm.allow_onlining()?;
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        let held = self.dice.one_in(2);
        if held {
            let _pages = self.vm.hold_pages()?;
        } else {
            self.vm.veto_offlining()?;
        }
        for (device, class) in self.devices() {
            if held || self.dice.one_in(3) {
                self.request(&device, class)?;
            }
        }
        self.is_resetting = true;
        self.vm.reset()?;
        self.read_events()?;
        self.is_resetting = false;
        ensure!(self.ledger.open() == 0, "requests outlive a reset: {:?}", self.ledger.requested());
        self.vm.load_module()?;
        self.vm.guest.sh(&self.boot_cpus.churn()).map(drop)
    }

    fn devices(&self) -> Vec<(String, Class)> {
        let cpus = self.cpus.iter().map(|cpu| (cpu.id().to_owned(), Class::Cpu));
        cpus.chain(self.dimms.iter().map(|dimm| (dimm.id().to_owned(), Class::Memory))).collect()
    }

    fn random_cpu(&mut self) -> Option<Cpu> {
        let count = self.cpus.len() as u32;
        (count != 0).then(|| self.cpus[self.dice.below(count) as usize].clone())
    }

    fn set_cpu(&mut self, cpu: u32, online: bool) -> Result<()> {
        let wanted = u8::from(online);
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        // Writing the current state is an error.
        self.vm.guest.sh(&format!("[ $(cat {file}) = {wanted} ] || echo {wanted} > {file}")).map(drop)
    }

    /// Requests a device, unless it was released.
    fn request(&mut self, device: &str, class: Class) -> Result<()> {
        self.read_events()?;
        match self.vm.qmp.execute("device_del", json!({ "id": device })) {
            Ok(_) => {
                self.ledger.sent(device, class);
                Ok(())
            }
            // The device may have been released since the last look at the events.
            Err(error) => {
                self.read_events()?;
                ensure!(!self.devices().iter().any(|(id, _)| id == device), "{device}: {error}");
                Ok(())
            }
        }
    }

    /// Waits until every request has ended. A device without a promised request is requested again, as its user would
    /// do; one device at a time, so that the guest comes to an end.
    fn settle(&mut self) -> Result<()> {
        let mut repeated = None;
        let mut times = 0;
        self.read_events()?;
        while self.ledger.open() != 0 {
            let answer = self.vm.qmp.execute("query-device-unplug-requests", json!({}))?;
            let last = answer["last-request"].as_u64();
            ensure!(last == Some(self.ledger.last()), "the VMM counts {last:?} requests, not {}", self.ledger.last());
            let pending = answer["requests"].as_array().context("no list of requests")?;
            let promised = pending.iter().filter(|request| request["promised"] == Value::Bool(true));
            let waits = promised.clone().any(|request| request["request"].as_u64() == repeated);
            let forgotten = self
                .ledger
                .requested()
                .into_iter()
                .find(|(device, _)| !promised.clone().any(|request| request["device"] == *device))
                .map(|(device, class)| (device.to_owned(), class));
            let has_room = |device: &str| pending.iter().filter(|request| request["device"] == *device).count() < OPEN;
            match forgotten {
                // Where nothing is promised, a slow guest is waited for: it has all of these requests still before it.
                Some((device, class)) if !waits && has_room(&device) => {
                    ensure!(times < 1000, "no repeated request is promised: {answer}");
                    times += 1;
                    self.request(&device, class)?;
                    repeated = Some(self.ledger.last());
                    self.read_events()?;
                }
                _ => self.await_event()?,
            }
        }
        let answer = self.vm.qmp.execute("query-device-unplug-requests", json!({}))?;
        ensure!(answer["requests"] == json!([]), "nothing is open, and the VMM lists {answer}");
        Ok(())
    }

    /// Reads the events that have come.
    fn read_events(&mut self) -> Result<()> {
        self.vm.qmp.round_trip()?;
        let events: Vec<_> = self.vm.qmp.since(self.read).iter().map(|event| event.body.clone()).collect();
        self.read = self.vm.qmp.moment();
        for event in events {
            if let Some(gone) = self.ledger.record(&event, self.is_resetting)? {
                self.cpus.retain(|cpu| cpu.id() != gone);
                if let Some(place) = self.dimms.iter().position(|dimm| dimm.id() == gone) {
                    let dimm = self.dimms.remove(place);
                    self.vm.forget(&dimm)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for an event about a device.
    fn await_event(&mut self) -> Result<()> {
        let is_open = self.ledger.open();
        let waited = self.vm.qmp.wait_for(self.read, "the end of a request", |event| event.device().is_some());
        if let Err(error) = waited {
            bail!("{is_open} requests are open ({:?}): {error}", self.ledger.requested());
        }
        self.read_events()
    }
}

/// Returns the core id, which is also the number of the core's only CPU.
fn core(cpu: &Cpu) -> u32 {
    cpu.connector().0 & 0xFFFF
}
