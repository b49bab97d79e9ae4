// SPDX-License-Identifier: MIT OR Apache-2.0

//! One VM under stress: random steps, after each of which every request has ended.

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

/// How many cores and DIMMs there are at most beside those that the guest booted with.
const CPUS: usize = 3;
const DIMMS: usize = 4;
/// How often a core can come before QEMU has no room for another thread.
const COMINGS: u32 = 60;

/// Memory that is written to and given back all the time, but for pauses that leave the guest's only CPU to others.
const CHURN: &str = "{ while :; do dd if=/dev/zero of=/tmp/churn bs=64k count=64 2>/dev/null; \
                     cat /tmp/churn > /dev/null; rm /tmp/churn; sleep 1; done & } ; churn=$!";
/// The module leaves and comes back.
const RELOAD: &str = "rmmod papr_unplug && insmod /lib/modules/papr_unplug.ko";

/// A VM under stress.
#[derive(Debug)]
pub struct Session {
    vm: Vm,
    dice: Dice,
    /// What was asked and what came of it.
    pub ledger: Ledger,
    heard: Moment,
    cpus: Vec<Cpu>,
    dimms: Vec<Dimm>,
    comings: u32,
    cores: u32,
    is_resetting: bool,
    /// What was done how often.
    pub done: std::collections::BTreeMap<&'static str, u64>,
}

/// Something that can be done.
type Step = (&'static str, u32, fn(&mut Session) -> Result<()>);

/// What there is to do, and how often in comparison.
const STEPS: &[Step] = &[
    ("a core comes", 12, Session::plug_cpu),
    ("a DIMM comes", 20, Session::plug_dimm),
    ("devices are asked for", 16, Session::ask_for_some),
    ("DIMMs are vetoed", 14, Session::veto),
    ("the last CPU is asked for", 10, Session::last_cpu),
    ("everything is asked for twice", 4, Session::ask_for_all_twice),
    ("the module is reloaded meanwhile", 10, Session::reload),
    ("pages of a DIMM are held", 6, Session::hold),
    ("CPUs go offline and online meanwhile", 8, Session::toggle_cpus),
    ("the administrator asks, too", 8, Session::run_errands),
    ("the guest is reset", 1, Session::reset),
];

impl Session {
    /// Boots. Its logs go to `target/vm/NAME`.
    pub fn begin(artifacts: &Artifacts, dice: Dice, name: &str) -> Result<Self> {
        let start = Start::with_slof();
        let mut vm = Vm::launch_as(artifacts, Pairing::OURS, Machine::PseriesForLong, &start, name)?.up()?;
        vm.guest.sh(CHURN)?;
        let heard = vm.qmp.moment();
        Ok(Self {
            vm,
            dice,
            ledger: Ledger::default(),
            heard,
            cpus: Vec::new(),
            dimms: Vec::new(),
            comings: 0,
            cores: 0,
            is_resetting: false,
            done: std::collections::BTreeMap::new(),
        })
    }

    /// Whether the VM has had its time.
    pub fn is_spent(&self) -> bool {
        self.comings >= COMINGS
    }

    /// What the VMM and the guest's kernel occupy.
    pub fn footprint(&mut self) -> Result<Footprint> {
        Footprint::of(&mut self.vm)
    }

    /// Takes a step, to the end of every request.
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

    /// Ends the churn, and looks whether the guest's kernel has anything to complain of.
    pub fn end(mut self) -> Result<Ledger> {
        self.vm.guest.sh("kill $churn")?;
        let refusals = self.vm.counters()?;
        ensure!(refusals.get("overlapped") == 0, "removals overlapped: {refusals:?}");
        self.vm.inspect()?;
        Ok(self.ledger)
    }

    fn plug_cpu(&mut self) -> Result<()> {
        if self.cpus.len() < CPUS && !self.is_spent() {
            self.comings += 1;
            // A number that none of the others has.
            let taken: Vec<u32> = self.cpus.iter().map(|cpu| cpu.connector().0 & 0xFFFF).collect();
            self.cores = (1..).find(|core| !taken.contains(core)).unwrap_or(1);
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

    fn ask_for_some(&mut self) -> Result<()> {
        for (device, class) in self.devices() {
            if self.dice.one_in(2) {
                self.ask(&device, class)?;
            }
        }
        Ok(())
    }

    fn ask_for_all_twice(&mut self) -> Result<()> {
        for _ in 0..2 {
            for (device, class) in self.devices() {
                self.ask(&device, class)?;
            }
        }
        Ok(())
    }

    fn veto(&mut self) -> Result<()> {
        self.vm.veto_offlining()?;
        let rounds = 1 + self.dice.below(16);
        self.ask_again_and_again(rounds)?;
        self.settle()?;
        self.vm.allow_offlining()
    }

    /// Asks for DIMMs, so often, and for a core now and then.
    fn ask_again_and_again(&mut self, rounds: u32) -> Result<()> {
        for _ in 0..rounds {
            for (device, class) in self.devices() {
                if class == Class::Memory || self.dice.one_in(8) {
                    self.ask(&device, class)?;
                }
            }
        }
        Ok(())
    }

    /// All others are offline then.
    fn last_cpu(&mut self) -> Result<()> {
        if self.cpus.is_empty() {
            self.plug_cpu()?;
        }
        let Some(last) = self.any_cpu() else { return Ok(()) };
        self.set_cpu(core(&last), true)?;
        let others: Vec<u32> =
            [0].into_iter().chain(self.cpus.iter().map(core)).filter(|n| *n != core(&last)).collect();
        for cpu in &others {
            self.set_cpu(*cpu, false)?;
        }
        for _ in 0..=self.dice.below(32) {
            self.ask(last.id(), Class::Cpu)?;
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
        self.ask_again_and_again(rounds)?;
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
        let holder = self.vm.hold_pages()?;
        for (device, class) in self.devices() {
            if class == Class::Memory || self.dice.one_in(2) {
                self.ask(&device, class)?;
            }
        }
        if self.dice.one_in(2) {
            self.vm.guest.sh(RELOAD)?;
        }
        let vetoed = self.dice.one_in(2);
        if vetoed {
            self.vm.veto_offlining()?;
        }
        self.vm.let_go(holder)?;
        self.settle()?;
        if vetoed {
            self.vm.allow_offlining()?;
        }
        Ok(())
    }

    fn toggle_cpus(&mut self) -> Result<()> {
        let Some(cpu) = self.any_cpu() else { return Ok(()) };
        let other = if self.dice.one_in(2) { core(&cpu) } else { 0 };
        let online = format!("/sys/devices/system/cpu/cpu{other}/online");
        // The core may be gone before the loop is over.
        let toggling = format!("for n in $(seq 10); do echo 0 > {online}; echo 1 > {online}; done 2>/dev/null; true");
        let toggling = self.vm.guest.start(&toggling)?;
        self.ask(cpu.id(), Class::Cpu)?;
        if let Some(dimm) = self.dimms.first().cloned() {
            self.ask(dimm.id(), Class::Memory)?;
        }
        self.vm.guest.finish(&toggling)?;
        self.settle()?;
        self.set_cpu(0, true)
    }

    /// All of them fail, as the last CPU and vetoed memory cannot go.
    fn run_errands(&mut self) -> Result<()> {
        self.vm.veto_offlining()?;
        let errands: Vec<DrcIndex> = self.dimms.iter().map(|dimm| dimm.connector(0)).collect();
        let mut commands = vec!["true".to_owned()];
        commands.extend(errands.iter().map(|index| format!("echo memory remove index {index} > /sys/kernel/dlpar")));
        let errand = self.vm.guest.start(&format!("{{ {}; }} 2>/dev/null", commands.join("; ")))?;
        let rounds = 1 + self.dice.below(16);
        self.ask_again_and_again(rounds)?;
        self.vm.guest.finish(&errand)?;
        self.settle()?;
        self.vm.allow_offlining()
    }

    fn reset(&mut self) -> Result<()> {
        let held = self.dice.one_in(2);
        if held {
            let _holder = self.vm.hold_pages()?;
        } else {
            self.vm.veto_offlining()?;
        }
        for (device, class) in self.devices() {
            if held || self.dice.one_in(3) {
                self.ask(&device, class)?;
            }
        }
        self.is_resetting = true;
        self.vm.reset()?;
        self.listen()?;
        self.is_resetting = false;
        ensure!(self.ledger.open() == 0, "requests outlive a reset: {:?}", self.ledger.asked_for());
        self.vm.load_module()?;
        self.vm.guest.sh(CHURN).map(drop)
    }

    fn devices(&self) -> Vec<(String, Class)> {
        let cpus = self.cpus.iter().map(|cpu| (cpu.id().to_owned(), Class::Cpu));
        cpus.chain(self.dimms.iter().map(|dimm| (dimm.id().to_owned(), Class::Memory))).collect()
    }

    fn any_cpu(&mut self) -> Option<Cpu> {
        let count = self.cpus.len() as u32;
        (count != 0).then(|| self.cpus[self.dice.below(count) as usize].clone())
    }

    fn set_cpu(&mut self, cpu: u32, online: bool) -> Result<()> {
        let wanted = u8::from(online);
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        // It fails where there is nothing to be done.
        self.vm.guest.sh(&format!("[ $(cat {file}) = {wanted} ] || echo {wanted} > {file}")).map(drop)
    }

    /// Asks for a device, unless it is gone.
    fn ask(&mut self, device: &str, class: Class) -> Result<()> {
        self.listen()?;
        match self.vm.qmp.execute("device_del", json!({ "id": device })) {
            Ok(_) => {
                self.ledger.sent(device, class);
                Ok(())
            }
            // It may have gone between the look and the leap.
            Err(error) => {
                self.listen()?;
                ensure!(!self.devices().iter().any(|(id, _)| id == device), "{device}: {error}");
                Ok(())
            }
        }
    }

    /// Waits until every request has ended. A device of which no request is promised an answer is asked for anew, as its user
    /// would; one at a time, so that the guest comes to its end.
    fn settle(&mut self) -> Result<()> {
        let mut anew = None;
        let mut times = 0;
        self.listen()?;
        while self.ledger.open() != 0 {
            let answer = self.vm.qmp.execute("query-device-unplug-requests", json!({}))?;
            let last = answer["last-request"].as_u64();
            ensure!(last == Some(self.ledger.last()), "the VMM counts {last:?} requests, not {}", self.ledger.last());
            let pending = answer["requests"].as_array().context("no list of requests")?;
            let promised = pending.iter().filter(|request| request["promised"] == Value::Bool(true));
            let waits = promised.clone().any(|request| request["request"].as_u64() == anew);
            let forgotten = self
                .ledger
                .asked_for()
                .into_iter()
                .find(|(device, _)| !promised.clone().any(|request| request["device"] == *device))
                .map(|(device, class)| (device.to_owned(), class));
            match forgotten {
                Some((device, class)) if !waits => {
                    ensure!(times < 1000, "nothing that is asked for anew is promised an answer: {answer}");
                    times += 1;
                    self.ask(&device, class)?;
                    anew = Some(self.ledger.last());
                    self.listen()?;
                }
                _ => self.await_news()?,
            }
        }
        let answer = self.vm.qmp.execute("query-device-unplug-requests", json!({}))?;
        ensure!(answer["requests"] == json!([]), "nothing is open, and the VMM lists {answer}");
        Ok(())
    }

    /// Hears what the VMM has said so far.
    fn listen(&mut self) -> Result<()> {
        self.vm.qmp.round_trip()?;
        let heard: Vec<_> = self.vm.qmp.since(self.heard).iter().map(|event| event.body.clone()).collect();
        self.heard = self.vm.qmp.moment();
        for event in heard {
            if let Some(gone) = self.ledger.told(&event, self.is_resetting)? {
                self.cpus.retain(|cpu| cpu.id() != gone);
                if let Some(place) = self.dimms.iter().position(|dimm| dimm.id() == gone) {
                    let dimm = self.dimms.remove(place);
                    self.vm.forget(&dimm)?;
                }
            }
        }
        Ok(())
    }

    /// Waits until the VMM says something about a device.
    fn await_news(&mut self) -> Result<()> {
        let is_open = self.ledger.open();
        let waited = self.vm.qmp.wait_for(self.heard, "the end of a request", |event| event.device().is_some());
        if let Err(error) = waited {
            bail!("{is_open} requests are open ({:?}): {error}", self.ledger.asked_for());
        }
        self.listen()
    }
}

/// Its number, which is that of its only CPU.
fn core(cpu: &Cpu) -> u32 {
    cpu.connector().0 & 0xFFFF
}
