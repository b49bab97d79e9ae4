// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU as a party.

use crate::{
    answer::{Answer, Said, Told, What},
    machine::{BOOT_CORE, Device},
    monitor::{Monitor, Reply},
    party::Party,
    program::{Process, Program},
    qtest::{Qtest, QtestError},
    rtas::{self, Call},
    step::{Step, indicator},
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_qmp::message::Event;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A QEMU without a guest.
#[derive(Debug)]
pub struct Vmm {
    program: Program,
    running: Option<Running>,
    plugged: BTreeSet<Device>,
    /// What may not be any more as it was at the beginning.
    touched: BTreeSet<Device>,
    /// Whether the core that the machine boots on may not.
    has_moved_boot_core: bool,
    /// How many `ibm,configure-connector` calls it takes to read a node of a device, as far as that is known.
    nodes: BTreeMap<Device, usize>,
    /// What it told about devices during the last step.
    heard: Vec<Event>,
}

/// How many hot plug events are taken at a time that nobody wants to see.
const EVENTS: usize = 4;

#[derive(Debug)]
struct Running {
    qtest: Qtest,
    monitor: Monitor,
    process: Process,
}

impl Vmm {
    /// Starts it.
    pub fn start(program: &Program) -> Result<Self> {
        let running = Some(Running::start(program)?);
        Ok(Self {
            program: program.clone(),
            running,
            plugged: Device::ALL.into(),
            touched: BTreeSet::new(),
            has_moved_boot_core: false,
            nodes: BTreeMap::new(),
            heard: Vec::new(),
        })
    }

    /// Migrates it to another, which has the same devices plugged. This one is gone then.
    pub fn migrate(mut self, to: &Program) -> Result<Self> {
        let stream = self.running.as_ref().context("the VMM is gone")?.process.dir().join("stream");
        let stream = format!("file:{}", stream.display());
        let unplugged = Device::ALL.into_iter().filter(|device| !self.plugged.contains(device));
        let to = unplugged.fold(to.clone(), Program::without);
        let reply = self.execute("migrate", json!({ "uri": stream }))?;
        ensure!(matches!(reply, Reply::Done(_)), "the VMM does not migrate: {reply:?}");
        self.await_migration()?;
        let mut other = Self::start(&to.with(&["-incoming", "defer"]))?;
        other.plugged.clone_from(&self.plugged);
        let reply = other.execute("migrate-incoming", json!({ "uri": stream }))?;
        ensure!(matches!(reply, Reply::Done(_)), "the VMM takes no migration: {reply:?}");
        other.await_migration()?;
        Ok(other)
    }

    /// Waits until a migration has ended, well or badly.
    fn await_migration(&mut self) -> Result<()> {
        loop {
            let reply = self.execute("query-migrate", json!({}))?;
            let Reply::Done(state) = &reply else { bail!("in the middle of a migration, {}", self.bury()?) };
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed") => bail!("the migration failed: {state}"),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Has the monitor do something that is no step.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Reply> {
        match &mut self.running {
            Some(running) => running.monitor.execute(command, arguments),
            None => Ok(Reply::Gone),
        }
    }

    /// What it told during the last step, whole.
    pub fn heard(&self) -> &[Event] {
        &self.heard
    }

    /// Its connection to qtest, for what is no step.
    pub fn qtest(&mut self) -> Result<&mut Qtest> {
        self.running.as_mut().map(|running| &mut running.qtest).context("the VMM is gone")
    }

    /// The memory that it occupies, in KiB, and all that it wrote.
    pub fn footprint(&self) -> Result<(u64, String)> {
        let process = &self.running.as_ref().context("the VMM is gone")?.process;
        Ok((process.resident()?, process.output()?))
    }

    /// The devices that are plugged, as far as the host was told.
    pub fn plugged(&self) -> &BTreeSet<Device> {
        &self.plugged
    }

    fn take(&mut self, step: &Step) -> Result<Option<Said>> {
        let Some(Running { qtest, monitor, .. }) = &mut self.running else { return Ok(None) };
        Ok(match *step {
            Step::Set(indicator, index, value) => said(qtest.set_indicator(indicator, index, value), Said::Status)?,
            Step::Sense(sensor, index) => {
                said(qtest.get_sensor_state(sensor, index), |(status, state)| Said::Sensed(status, state))?
            }
            Step::Configure(index, calls) => said(qtest.configure_connector(index, calls), Said::Status)?,
            Step::TakeEvent => said(qtest.take_event(), |event| event.map_or(Said::NoEvent, |e| hot_plug(&e)))?,
            Step::Remove(device) => reply(monitor.execute("device_del", json!({ "id": device.id() }))?),
            Step::Add(device) => reply(monitor.execute("device_add", added(device))?),
            Step::Reset => match monitor.execute("system_reset", json!({}))? {
                Reply::Done(_) if monitor.wait_for("RESET", |_| true)? => Some(Said::Accepted),
                other => reply(other).filter(|said| *said != Said::Accepted),
            },
        })
    }

    /// A device that does DMA is gone at once, but its deletion is told only when no thread can be looking at its memory
    /// regions any more (RCU).
    fn await_deletion(&mut self, step: &Step) -> Result<()> {
        let dma = [Device::Pci, Device::Phb];
        let affected = |device: &Device| *step == Step::Reset || step.device() == Some(*device);
        for device in dma.into_iter().filter(|device| affected(device) && self.plugged.contains(device)) {
            let Some(Running { monitor, .. }) = &mut self.running else { return Ok(()) };
            let type_of = json!({ "path": format!("/machine/peripheral/{device}"), "property": "type" });
            if matches!(monitor.execute("qom-get", type_of)?, Reply::Refused(_)) {
                monitor.wait_for("DEVICE_DELETED", |event| event.device() == Some(device.id()))?;
            }
        }
        Ok(())
    }

    fn told(&mut self) -> Result<Vec<Told>> {
        let Some(running) = &mut self.running else { return Ok(Vec::new()) };
        self.heard = running.monitor.take_events()?;
        let told: Vec<Told> = self.heard.iter().filter_map(told).collect();
        let is_gone = |device: &Device| told.contains(&Told { device: *device, what: What::Deleted });
        self.plugged.retain(|device| !is_gone(device));
        Ok(told)
    }

    /// Has the guest give a device back and take another one in its place, so that nothing is left of what was done to
    /// it. A reset would do as well, but takes a thousand times as long as a call. False if the VMM does not play along.
    fn replace(&mut self, device: Device) -> Result<bool> {
        let set_all = |[first, then]: [(u32, u32); 2]| {
            let both = move |index| [Call::Set(first.0, index, first.1), Call::Set(then.0, index, then.1)];
            device.connectors().flat_map(both).collect::<Vec<_>>()
        };
        if self.plugged.contains(&device) {
            // A connector that is not configured cannot be isolated.
            self.configure(device, false)?;
            self.play(&Step::Remove(device))?;
            self.call_all(&set_all([(indicator::ISOLATION, 0), (indicator::ALLOCATION, 0)]))?;
            self.await_deletion(&Step::Remove(device))?;
            self.told()?;
        }
        if self.running.is_none() || self.plugged.contains(&device) {
            return Ok(false);
        }
        let added = self.play(&Step::Add(device))? == Answer::quiet(Said::Accepted);
        self.call_all(&set_all([(indicator::ALLOCATION, 1), (indicator::ISOLATION, 1)]))?;
        Ok(self.configure(device, true)? && added)
    }

    /// Has the guest take the core that the machine boots on, whatever it had done with it. False if the VMM does not play along.
    fn take_boot_core(&mut self) -> Result<bool> {
        // A connector whose node was read can be cut off, and one that was not is to be read from the beginning.
        self.read_node(BOOT_CORE)?;
        let calls = [
            (indicator::ISOLATION, 0),
            (indicator::ALLOCATION, 0),
            (indicator::ALLOCATION, 1),
            (indicator::ISOLATION, 1),
        ];
        self.call_all(&calls.map(|(indicator, value)| Call::Set(indicator, BOOT_CORE, value)))?;
        Ok(self.read_node(BOOT_CORE)?.is_some())
    }

    /// Has the guest read the nodes of a device to their ends. How long they are is seen from a device that is `fresh`: there
    /// they are read from their beginning. False if there was no end.
    fn configure(&mut self, device: Device, fresh: bool) -> Result<bool> {
        let mut done = true;
        for index in device.connectors() {
            if let Some(calls) = self.nodes.get(&device) {
                let statuses = self.call_all(&vec![Call::Configure(index); *calls])?;
                done &= statuses.last() == Some(&0);
                continue;
            }
            let calls = self.read_node(index)?;
            done &= calls.is_some();
            self.nodes.extend(calls.filter(|_| fresh).map(|calls| (device, calls)));
        }
        Ok(done)
    }

    /// Has the guest read a node to its end; the number of calls that took, if there was an end.
    fn read_node(&mut self, index: u32) -> Result<Option<usize>> {
        let mut calls = 1;
        loop {
            match self.call_all(&[Call::Configure(index)])?.first() {
                Some(0) => return Ok(Some(calls)),
                Some(status) if rtas::is_more(*status) => calls += 1,
                _ => return Ok(None),
            }
        }
    }

    /// Makes calls that nobody waits for one by one, and hears what came of them.
    fn call_all(&mut self, calls: &[Call]) -> Result<Vec<i32>> {
        let Some(Running { qtest, .. }) = &mut self.running else { return Ok(Vec::new()) };
        let statuses = match qtest.call_all(calls) {
            Ok(statuses) => statuses,
            Err(QtestError::Gone) => {
                self.bury()?;
                Vec::new()
            }
            Err(error) => bail!(error),
        };
        self.told()?;
        Ok(statuses)
    }

    fn restart(&mut self) -> Result<()> {
        let nodes = std::mem::take(&mut self.nodes);
        *self = Self { nodes, ..Self::start(&self.program)? };
        Ok(())
    }

    /// What the VMM said when it ended.
    fn bury(&mut self) -> Result<Said> {
        match self.running.take() {
            Some(mut running) => Ok(Said::Ended(running.process.last_words()?)),
            None => Ok(Said::Ended("earlier".to_owned())),
        }
    }
}

impl Party for Vmm {
    fn renew(&mut self) -> Result<()> {
        if self.running.is_none() {
            return self.restart();
        }
        // A request that the guest is asked with a token would shift the tokens of those that follow.
        self.play(&Step::DISARM)?;
        for device in std::mem::take(&mut self.touched) {
            if !self.replace(device)? {
                return self.restart();
            }
        }
        if std::mem::take(&mut self.has_moved_boot_core) && !self.take_boot_core()? {
            return self.restart();
        }
        while !self.call_all(&[Call::TakeEvent; EVENTS])?.contains(&rtas::NO_EVENT) {}
        self.touched.clear();
        Ok(())
    }

    fn play(&mut self, step: &Step) -> Result<Answer> {
        let said = self.take(step)?;
        self.await_deletion(step)?;
        let told = self.told()?;
        let said = match said {
            Some(said) => said,
            None => self.bury()?,
        };
        if let (Step::Add(device), Said::Accepted) = (step, &said) {
            self.plugged.insert(*device);
        }
        if !said.is_no() {
            self.touched.extend(step.device());
            self.has_moved_boot_core |= step.connector() == Some(BOOT_CORE);
        }
        // What a step has told about has changed, whichever device the step was about.
        self.touched.extend(told.iter().map(|told| told.device));
        Ok(Answer { said, told })
    }
}

impl Running {
    fn start(program: &Program) -> Result<Self> {
        let process = program.start()?;
        let qtest = Qtest::on(process.connection(&process.qtest)?);
        let monitor = Monitor::greet(process.connection(&process.monitor)?)?;
        Ok(Self { qtest, monitor, process })
    }
}

/// `None` if the VMM is gone.
fn said<T>(result: Result<T, QtestError>, said: impl FnOnce(T) -> Said) -> Result<Option<Said>> {
    match result {
        Ok(value) => Ok(Some(said(value))),
        Err(QtestError::Gone) => Ok(None),
        Err(error) => bail!(error),
    }
}

fn reply(reply: Reply) -> Option<Said> {
    match reply {
        Reply::Done(_) => Some(Said::Accepted),
        Reply::Refused(why) => Some(Said::Rejected(why.description)),
        Reply::Gone => None,
    }
}

fn added(device: Device) -> Value {
    let (driver, properties) = device.driver();
    let mut arguments = Map::new();
    arguments.insert("driver".to_owned(), driver.into());
    arguments.insert("id".to_owned(), device.id().into());
    for (name, value) in properties {
        let number = value.parse::<u64>().ok().filter(|_| matches!(name, "core-id" | "index"));
        let hex = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let value = number.or(hex).map_or_else(|| value.clone().into(), Value::from);
        arguments.insert(name.to_owned(), value);
    }
    arguments.into()
}

fn told(event: &Event) -> Option<Told> {
    let device = Device::of_id(event.device()?)?;
    match event.name() {
        "DEVICE_DELETED" => Some(Told { device, what: What::Deleted }),
        "DEVICE_UNPLUG_GUEST_ERROR" => Some(Told { device, what: What::Refused }),
        _ => None,
    }
}

/// The hot plug section of an event, behind its header. LoPAR, "Platform Event Log Format, Version 6": sections follow
/// one another, each with its name and length; the first begins behind the 8 bytes of the RTAS log and 16 of the
/// extended log.
fn hot_plug(event: &[u8]) -> Said {
    let mut rest = event.get(24..).unwrap_or_default();
    while let [a, b, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(section) = rest.get(..length).filter(|section| section.len() >= 8) else { break };
        if [a, b] == *b"HP" {
            return Said::Event(section[8..].to_vec());
        }
        rest = &rest[length..];
    }
    Said::Event(Vec::new())
}
