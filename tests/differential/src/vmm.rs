// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU as a party, over qtest and QMP.

mod keeper;

use crate::{
    answer::{Answer, DeviceEvent, EventKind, Response},
    device_tree,
    machine::{BOOT_CORE, Device},
    monitor::{Monitor, Reply},
    party::Party,
    program::{Process, Program},
    qtest::{Qtest, QtestError},
    rtas::{self, RtasCall},
    step::{Step, indicator},
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::deadline::Deadline;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A QEMU without a guest.
#[derive(Debug)]
pub struct Vmm {
    program: Program,
    running: Option<Running>,
    plugged: BTreeSet<Device>,
    /// Devices that may have changed since the last renewal.
    touched: BTreeSet<Device>,
    /// True if the boot core's connector may have changed since then.
    has_moved_boot_core: bool,
    /// The number of `ibm,configure-connector` calls that read a node of a device, once it is known.
    nodes: BTreeMap<Device, usize>,
    /// The QMP events of the last step.
    events: Vec<Event>,
    /// The number of the request that the last `device_del` made.
    made: Option<u64>,
    has_disk: bool,
    has_snapshot: bool,
}

/// The number of `check-exception` calls sent together to empty the queue of hot plug events.
const EVENTS: usize = 4;

#[derive(Debug)]
struct Running {
    qtest: Qtest,
    monitor: Monitor,
    process: Process,
}

impl Vmm {
    /// Starts QEMU.
    pub fn start(program: &Program) -> Result<Self> {
        let running = Some(Running::start(program)?);
        Ok(Self {
            program: program.clone(),
            running,
            plugged: Device::ALL.into_iter().filter(|device| !program.is_without(*device)).collect(),
            touched: BTreeSet::new(),
            has_moved_boot_core: false,
            nodes: BTreeMap::new(),
            events: Vec::new(),
            made: None,
            has_disk: false,
            has_snapshot: false,
        })
    }

    /// Migrates to another QEMU, started with the same devices plugged, and ends this one.
    pub fn migrate(mut self, to: &Program) -> Result<Self> {
        self.migrate_to(to)
    }

    fn migrate_to(&mut self, to: &Program) -> Result<Self> {
        let stream = self.running.as_ref().context("the VMM is gone")?.process.dir().join("stream");
        let stream = format!("file:{}", stream.display());
        let unplugged = Device::ALL.into_iter().filter(|device| !self.plugged.contains(device));
        let destination = unplugged.fold(to.clone(), Program::without);
        let reply = self.execute("migrate", json!({ "uri": stream }))?;
        ensure!(matches!(reply, Reply::Done(_)), "the VMM does not migrate: {reply:?}");
        self.await_migration()?;
        let mut other = Self::start(&destination.with(&["-incoming", "defer"]))?;
        // Devices that are plugged later are there when it starts again, or migrates on.
        other.program.clone_from(to);
        other.plugged.clone_from(&self.plugged);
        let reply = other.execute("migrate-incoming", json!({ "uri": stream }))?;
        ensure!(matches!(reply, Reply::Done(_)), "the VMM takes no migration: {reply:?}");
        other.await_migration()?;
        Ok(other)
    }

    /// Waits until a migration has ended. Fails if the migration did.
    fn await_migration(&mut self) -> Result<()> {
        let deadline = Deadline::start();
        loop {
            let state = match self.execute("query-migrate", json!({}))? {
                Reply::Done(state) => state,
                Reply::Refused(error) => bail!("the VMM does not say how the migration goes: {error}"),
                Reply::Gone => bail!("in the middle of a migration, {}", self.ended()?),
            };
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => bail!("the migration failed: {state}"),
                _ => std::thread::yield_now(),
            }
            ensure!(!deadline.left().is_zero(), "the migration does not end: {state}");
        }
    }

    /// Executes a QMP command that is no step.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Reply> {
        match &mut self.running {
            Some(running) => running.monitor.execute(command, arguments),
            None => Ok(Reply::Gone),
        }
    }

    /// Returns the QMP events of the last step.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Returns the qtest connection, for calls that are no step.
    pub fn qtest(&mut self) -> Result<&mut Qtest> {
        self.running.as_mut().map(|running| &mut running.qtest).context("the VMM is gone")
    }

    /// Returns the device tree that the guest boots with.
    pub fn device_tree(&mut self) -> Result<Vec<u8>> {
        let Running { monitor, process, .. } = self.running.as_mut().context("the VMM is gone")?;
        device_tree::dump(process, monitor)
    }

    /// Returns QEMU's resident memory in KiB, and its output.
    pub fn footprint(&self) -> Result<(u64, String)> {
        let process = &self.running.as_ref().context("the VMM is gone")?.process;
        Ok((process.resident()?, process.output()?))
    }

    /// Returns the devices that are plugged according to the events.
    pub fn plugged(&self) -> &BTreeSet<Device> {
        &self.plugged
    }

    fn take(&mut self, step: &Step) -> Result<Option<Response>> {
        let Some(Running { qtest, monitor, .. }) = &mut self.running else { return Ok(None) };
        Ok(match *step {
            Step::Set(indicator, index, value) => {
                response(qtest.set_indicator(indicator, index, value), Response::Status)?
            }
            Step::Sense(sensor, index) => {
                response(qtest.get_sensor_state(sensor, index), |(status, state)| Response::Sensed(status, state))?
            }
            Step::Configure(index, calls) => response(qtest.configure_connector(index, calls), Response::Status)?,
            Step::TakeEvent => response(qtest.take_event(), |event| event.map_or(Response::NoEvent, |e| hot_plug(&e)))?,
            Step::Remove(device) => {
                let answer = monitor.execute("device_del", json!({ "id": device.id() }))?;
                if let Reply::Done(value) = &answer {
                    self.made = value["request"].as_u64();
                }
                reply(answer)
            }
            Step::Add(device) => reply(monitor.execute("device_add", added(device))?),
            Step::Reset => match monitor.execute("system_reset", json!({}))? {
                Reply::Done(_) if monitor.wait_for("RESET", |_| true)? => Some(Response::Accepted),
                other => reply(other).filter(|response| *response != Response::Accepted),
            },
        })
    }

    /// Waits for the DEVICE_DELETED of a device that is gone already.
    ///
    /// In QEMU, the event about a device that does DMA comes later than the removal, after a grace period of RCU. A VMM
    /// without `qom-get` tells of a removal at once.
    fn await_deletion(&mut self, step: &Step) -> Result<()> {
        let affected = |device: &Device| {
            *step == Step::Reset || step.device().is_some_and(|changed| changed.group().contains(device))
        };
        let pci = Device::ALL.into_iter().filter(|device| device.is_pci() && affected(device));
        for device in pci.filter(|device| self.plugged.contains(device)).collect::<Vec<_>>() {
            let Some(Running { monitor, .. }) = &mut self.running else { return Ok(()) };
            let type_of = json!({ "path": format!("/machine/peripheral/{device}"), "property": "type" });
            if matches!(monitor.execute("qom-get", type_of)?, Reply::Refused(why) if !why.is_unknown_command()) {
                monitor.wait_for("DEVICE_DELETED", |event| event.device() == Some(device.id()))?;
            }
        }
        Ok(())
    }

    fn take_device_events(&mut self) -> Result<Vec<DeviceEvent>> {
        let Some(running) = &mut self.running else { return Ok(Vec::new()) };
        self.events = running.monitor.take_events()?;
        let device_events: Vec<DeviceEvent> = self.events.iter().filter_map(device_event).collect();
        let is_gone =
            |device: &Device| device_events.contains(&DeviceEvent { device: *device, kind: EventKind::Deleted });
        self.plugged.retain(|device| !is_gone(device));
        Ok(device_events)
    }

    /// Removes a device and plugs another in its place, so that nothing is left of earlier steps. Returns false if the
    /// VMM does not answer as expected.
    ///
    /// A reset would do the same, but takes a thousand times as long as a call.
    fn replace(&mut self, group: &[Device]) -> Result<bool> {
        if let [device] = group
            && !device.is_removable()
        {
            return self.take_anew(device.first());
        }
        let set_all = |device: Device, [first, then]: [(u32, u32); 2]| {
            let both = move |index| [RtasCall::Set(first.0, index, first.1), RtasCall::Set(then.0, index, then.1)];
            device.connectors().flat_map(both).collect::<Vec<_>>()
        };
        // What is attached to a device goes with it, so that the device comes first, and function 0 last.
        let heads = group.iter().filter(|device| !group.iter().any(|parent| parent.children().contains(device)));
        for device in heads {
            if self.plugged.contains(device) {
                // A connector that is not configured cannot be isolated.
                self.configure(*device, false)?;
                self.play(&Step::Remove(*device))?;
                self.call_all(&set_all(*device, [(indicator::ISOLATION, 0), (indicator::ALLOCATION, 0)]))?;
            }
        }
        self.await_deletion(&Step::Remove(group[0]))?;
        self.take_device_events()?;
        if self.running.is_none() || group.iter().any(|device| self.plugged.contains(device)) {
            return Ok(false);
        }
        let mut done = true;
        for device in group {
            done &= self.play(&Step::Add(*device))? == Answer::without_events(Response::Accepted);
        }
        for device in group {
            self.call_all(&set_all(*device, [(indicator::ALLOCATION, 1), (indicator::ISOLATION, 1)]))?;
            done &= self.configure(*device, true)?;
        }
        Ok(done)
    }

    /// Configures the connector of a device that stays, whatever its state. Returns false if the VMM does not answer as
    /// expected.
    fn take_anew(&mut self, index: u32) -> Result<bool> {
        // Only a configured connector can be isolated; isolating it restarts its node.
        self.read_node(index)?;
        let calls = [
            (indicator::ISOLATION, 0),
            (indicator::ALLOCATION, 0),
            (indicator::ALLOCATION, 1),
            (indicator::ISOLATION, 1),
        ];
        self.call_all(&calls.map(|(indicator, value)| RtasCall::Set(indicator, index, value)))?;
        Ok(self.read_node(index)?.is_some())
    }

    /// Reads the nodes of a device to their ends. Returns false if a node has no end.
    ///
    /// The length of a node is recorded if the device is `fresh`, where the node is read from its beginning.
    fn configure(&mut self, device: Device, fresh: bool) -> Result<bool> {
        let mut done = true;
        for index in device.connectors() {
            if let Some(calls) = self.nodes.get(&device) {
                let statuses = self.call_all(&vec![RtasCall::Configure(index); *calls])?;
                done &= statuses.last() == Some(&0);
                continue;
            }
            let calls = self.read_node(index)?;
            done &= calls.is_some();
            self.nodes.extend(calls.filter(|_| fresh).map(|calls| (device, calls)));
        }
        Ok(done)
    }

    /// Reads a node to its end and returns the number of calls; `None` if the node has no end.
    fn read_node(&mut self, index: u32) -> Result<Option<usize>> {
        let mut calls = 1;
        loop {
            match self.call_all(&[RtasCall::Configure(index)])?.first() {
                Some(0) => return Ok(Some(calls)),
                Some(status) if rtas::is_more(*status) => calls += 1,
                _ => return Ok(None),
            }
        }
    }

    /// Makes calls without waiting in between, and takes their events.
    fn call_all(&mut self, calls: &[RtasCall]) -> Result<Vec<i32>> {
        let Some(Running { qtest, .. }) = &mut self.running else { return Ok(Vec::new()) };
        let statuses = match qtest.call_all(calls) {
            Ok(statuses) => statuses,
            Err(QtestError::Gone) => {
                self.ended()?;
                Vec::new()
            }
            Err(error) => bail!(error),
        };
        self.take_device_events()?;
        Ok(statuses)
    }

    fn restart(&mut self) -> Result<()> {
        let nodes = std::mem::take(&mut self.nodes);
        *self = Self { nodes, ..Self::start(&self.program)? };
        Ok(())
    }

    /// Waits for the end of the VMM and returns it as a response.
    fn ended(&mut self) -> Result<Response> {
        match self.running.take() {
            Some(mut running) => Ok(Response::Ended(running.process.last_words()?)),
            None => Ok(Response::Ended("earlier".to_owned())),
        }
    }
}

impl Party for Vmm {
    fn renew(&mut self) -> Result<()> {
        if self.running.is_none() {
            return self.restart();
        }
        // A request with a token would shift the tokens of later requests.
        self.play(&Step::DISARM)?;
        let touched = std::mem::take(&mut self.touched).into_iter();
        let touched = touched.filter(|device| !self.program.is_without(*device));
        let touched: BTreeSet<&[Device]> = touched.map(Device::group).collect();
        for group in touched {
            if !self.replace(group)? {
                return self.restart();
            }
        }
        if std::mem::take(&mut self.has_moved_boot_core) && !self.take_anew(BOOT_CORE)? {
            return self.restart();
        }
        while !self.call_all(&[RtasCall::TakeEvent; EVENTS])?.contains(&rtas::NO_EVENT) {}
        self.touched.clear();
        Ok(())
    }

    fn play(&mut self, step: &Step) -> Result<Answer> {
        self.made = None;
        let response = self.take(step)?;
        self.await_deletion(step)?;
        let events = self.take_device_events()?;
        let response = match response {
            Some(response) => response,
            None => self.ended()?,
        };
        if let (Step::Add(device), Response::Accepted) = (step, &response) {
            self.plugged.insert(*device);
        }
        if !response.is_no() {
            self.touched.extend(step.device());
            self.has_moved_boot_core |= step.connector() == Some(BOOT_CORE);
        }
        // A step can change other devices than its own.
        self.touched.extend(events.iter().map(|event| event.device));
        Ok(Answer { response, events })
    }
}

impl Running {
    fn start(program: &Program) -> Result<Self> {
        let process = program.start()?;
        let qtest = Qtest::on(process.connection(&process.qtest)?);
        let mut monitor = Monitor::greet(process.connection(&process.monitor)?)?;
        if program.leaves_memory_out {
            let capabilities = json!([{ "capability": "x-ignore-shared", "state": true }]);
            let reply = monitor.execute("migrate-set-capabilities", json!({ "capabilities": capabilities }))?;
            ensure!(matches!(reply, Reply::Done(_)), "the VMM does not leave its memory out: {reply:?}");
        }
        Ok(Self { qtest, monitor, process })
    }
}

/// Converts the result of a qtest call; `None` if the VMM is gone.
fn response<T>(result: Result<T, QtestError>, respond: impl FnOnce(T) -> Response) -> Result<Option<Response>> {
    match result {
        Ok(value) => Ok(Some(respond(value))),
        Err(QtestError::Gone) => Ok(None),
        Err(error) => bail!(error),
    }
}

fn reply(reply: Reply) -> Option<Response> {
    match reply {
        Reply::Done(_) => Some(Response::Accepted),
        Reply::Refused(why) => Some(Response::Rejected(why.description)),
        Reply::Gone => None,
    }
}

fn added(device: Device) -> Value {
    let (driver, properties) = device.driver();
    let mut arguments = Map::new();
    arguments.insert("driver".to_owned(), driver.into());
    arguments.insert("id".to_owned(), device.id().into());
    for (name, value) in properties {
        let number = value.parse::<u64>().ok().filter(|_| matches!(name, "core-id" | "index" | "chassis_nr"));
        let flag = (name == "multifunction").then(|| Value::from(value == "on"));
        let hex = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let value = flag.unwrap_or_else(|| number.or(hex).map_or_else(|| value.clone().into(), Value::from));
        arguments.insert(name.to_owned(), value);
    }
    arguments.into()
}

fn device_event(event: &Event) -> Option<DeviceEvent> {
    let device = Device::of_id(event.device()?)?;
    match event.name() {
        "DEVICE_DELETED" => Some(DeviceEvent { device, kind: EventKind::Deleted }),
        "DEVICE_UNPLUG_GUEST_ERROR" => Some(DeviceEvent { device, kind: EventKind::Refused }),
        _ => None,
    }
}

/// Returns the body of the hot plug section of an event.
///
/// LoPAR, "Platform Event Log Format, Version 6": the sections begin after the 8 bytes of the RTAS log and 16 bytes of
/// the extended log. Each begins with its ID and its length, big endian, 16 bits each.
fn hot_plug(event: &[u8]) -> Response {
    let mut rest = event.get(24..).unwrap_or_default();
    while let [a, b, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(section) = rest.get(..length).filter(|section| section.len() >= 8) else { break };
        if [a, b] == *b"HP" {
            return Response::Event(section[8..].to_vec());
        }
        rest = &rest[length..];
    }
    Response::Event(Vec::new())
}
