// SPDX-License-Identifier: MIT OR Apache-2.0

//! QMP server in front of libvirt, so that a domain looks like any other VM to the rest of the program.
//!
//! Commands go to the domain's monitor, and its events come back, in QMP's order: an event that QEMU had sent before it
//! answered a command comes before the answer. `device_del` is libvirt's own request instead, so that libvirt's
//! definition of the domain stays right; what is told during the request comes after its answer.

use crate::{
    device::Device,
    schema::{DELETED, ENDED, EventData, QUERY, REFUSED, UnplugStatus},
};
use papr_unplug_libvirt::event::{Event, MonitorEvent};
use papr_unplug_qmp::line::ReadError;
use serde_json::{Map, Value, json};
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

/// Event of the bridge: the connection to libvirt is lost, and the bridge tries to open it again.
pub const LOST: &str = "LIBVIRT_LOST";
/// Event of the bridge: the connection is open again, and what it missed was told, as far as QEMU lists it.
pub const BACK: &str = "LIBVIRT_BACK";
/// Last event of the bridge, if it ends before the domain; `desc` says why.
pub const FAILED: &str = "LIBVIRT_FAILED";

/// Pause between two attempts to connect again.
const PAUSE: Duration = Duration::from_secs(1);

/// Numbers of requests that are remembered: QEMU lists as many outcomes.
const LISTED: usize = 64;

/// Input to the bridge.
#[derive(Debug)]
pub enum Input {
    /// A line from the program. An error is the last one.
    Line(Result<String, ReadError>),
    /// An event of the domain, and the number of the connection that it came by.
    Event(Event, u64),
    /// The result of a request that [`Host::ask`] was to make later.
    Asked {
        /// The number of the request, of the bridge's.
        request: u64,
        /// The number of the connection.
        connection: u64,
        /// The result.
        result: Result<(), Failure>,
    },
}

/// Answer to [`Host::ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The guest is asked.
    Now,
    /// libvirt waits for the guest. [`Input::Asked`] follows.
    Later,
}

/// Failure of a call to libvirt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection is lost.
    Lost,
    /// The domain does not run any more, or anew.
    Gone,
    /// libvirt is at work on the domain for another client.
    Busy,
    /// libvirt or QEMU returns an error.
    Returned {
        /// QMP's error class.
        class: &'static str,
        /// Text for people.
        description: String,
    },
}

/// libvirt, as the bridge uses it.
pub trait Host {
    /// Executes a QMP command and returns the answer. An error is libvirt's; one of QEMU's is in the answer.
    fn execute(&mut self, command: &str) -> Result<String, Failure>;
    /// Asks the guest for the device of an alias. `request` is the number for [`Input::Asked`].
    fn ask(&mut self, alias: &str, request: u64) -> Result<Asked, Failure>;
    /// Returns when all events that libvirt had when this was called are among the inputs; after the end of the
    /// connection those that had come by it.
    fn settle(&mut self);
    /// Connects again.
    fn reopen(&mut self) -> Result<(), Failure>;
    /// Returns the number of the connection.
    fn connection(&self) -> u64;
}

/// Bridge between the program and libvirt.
pub struct Bridge<H, W> {
    host: H,
    inputs: Receiver<Input>,
    /// True if an event was dropped because too many wait. All that wait were sent before it.
    is_torn: Arc<AtomicBool>,
    /// Inputs that were received before their turn.
    waiting: VecDeque<Input>,
    program: W,
    /// The `device_del` that has no answer so far.
    asking: Option<Asking>,
    /// The number of `device_del`s.
    asked: u64,
    /// The aliases of the devices that were asked for, without an outcome so far.
    open: Vec<String>,
    /// The latest requests whose outcomes were told, or had been there before.
    told: VecDeque<u64>,
    /// Those of them that were told from QEMU's list; the events about them may still come.
    listed: Vec<u64>,
}

/// `device_del` without an answer so far.
struct Asking {
    id: Value,
    alias: String,
    /// The number that the bridge gave it.
    number: u64,
    /// QEMU's latest request before it, if QEMU numbers requests.
    before: Option<u64>,
}

impl Asking {
    /// Returns whether an outcome may be that of this request: it is about the device, and not of an earlier request.
    fn may_end_by(&self, data: &EventData) -> bool {
        let is_earlier = |ended| self.before.is_some_and(|before| ended <= before);
        let mut ended = data.ended().peekable();
        data.is_about(&Device::new(&self.alias)) && (ended.peek().is_none() || !ended.all(is_earlier))
    }
}

/// End of the bridge.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl<H: Host, W: Write> Bridge<H, W> {
    /// Makes a bridge of a connection that is open.
    pub fn new(host: H, inputs: Receiver<Input>, is_torn: Arc<AtomicBool>, program: W) -> Self {
        Self {
            host,
            inputs,
            is_torn,
            waiting: VecDeque::new(),
            program,
            asking: None,
            asked: 0,
            open: Vec::new(),
            told: VecDeque::new(),
            listed: Vec::new(),
        }
    }

    /// Serves until the domain or the program ends.
    pub fn serve(&mut self) {
        let _ = self.converse();
    }

    fn converse(&mut self) -> Result<(), Over> {
        for entry in self.status()?.and_then(|status| status.outcomes).unwrap_or_default() {
            self.remember(&EventData::of(Some(&entry)));
        }
        self.send(&json!({ "QMP": { "version": {}, "capabilities": [] } }))?;
        loop {
            let input = match self.waiting.pop_front() {
                Some(input) => input,
                None => match self.inputs.try_recv() {
                    Ok(input) => input,
                    Err(_) => {
                        self.end_at_a_gap()?;
                        self.inputs.recv().map_err(|_| Over)?
                    }
                },
            };
            match input {
                Input::Line(line) => self.obey(&line.map_err(|_| Over)?)?,
                Input::Event(Event::Monitor(event), _) => self.tell(&event)?,
                Input::Event(Event::Stopped, _) => return Ok(()),
                Input::Event(Event::Disconnected, number) if number == self.host.connection() => self.reconnect()?,
                Input::Event(Event::Disconnected, _) => {}
                Input::Asked { request, connection, result } => self.asked(request, connection, result)?,
            }
        }
    }

    /// Executes a command of the program's.
    fn obey(&mut self, line: &str) -> Result<(), Over> {
        let mut command: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
        let id = command.remove("id").unwrap_or_default();
        match command.get("execute").and_then(Value::as_str) {
            Some("qmp_capabilities") => self.answer(&id, Ok(json!({}))),
            Some("device_del") => {
                let name = command.get("arguments").and_then(|arguments| arguments.get("id"));
                let device = Device::new(name.and_then(Value::as_str).unwrap_or_default());
                let alias = device.id().unwrap_or(device.name()).to_owned();
                // libvirt executes this when it has done with the requests of other clients.
                let before = self.status()?.map(|status| status.last_request.unwrap_or_default());
                // What is told before is no answer to this request.
                self.forward()?;
                self.asked += 1;
                self.asking = Some(Asking { id, alias, number: self.asked, before });
                self.ask(false)
            }
            _ => {
                let answer = self.execute(&Value::Object(command).to_string())?;
                self.forward()?;
                self.answer(&id, answer)
            }
        }
    }

    /// Executes a command in the domain's monitor, after a new connection if need be.
    fn execute(&mut self, command: &str) -> Result<Result<Value, Failure>, Over> {
        loop {
            match self.host.execute(command).map(|text| answer_of(&text)) {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.overcome(failure)?,
            }
        }
    }

    /// Returns QEMU's list of requests, or `None` for a QEMU without one.
    fn status(&mut self) -> Result<Option<UnplugStatus>, Over> {
        Ok(self.execute(&json!({ "execute": QUERY }).to_string())?.ok().map(UnplugStatus::of))
    }

    /// Returns when a call to libvirt can be made again.
    fn overcome(&mut self, failure: Failure) -> Result<(), Over> {
        match failure {
            Failure::Lost => self.reconnect(),
            // libvirt has waited, and can be asked again at once.
            Failure::Busy => Ok(()),
            Failure::Gone | Failure::Returned { .. } => Err(self.end(failure)),
        }
    }

    /// Tells of what came before a failure that ends the bridge.
    fn end(&mut self, failure: Failure) -> Over {
        if self.forward().is_ok()
            && let Failure::Returned { description, .. } = failure
        {
            return self.fail(&format!("libvirt: {description}"));
        }
        Over
    }

    /// Ends the bridge if an event was dropped: a stream with a gap is worse than none.
    fn end_at_a_gap(&mut self) -> Result<(), Over> {
        if self.is_torn.load(Ordering::Relaxed) {
            return Err(self.fail("the VM sends events faster than they are read"));
        }
        Ok(())
    }

    /// Asks for the device of [`Bridge::asking`], unless its outcome has come. If it may have been asked for before,
    /// the request may be there.
    fn ask(&mut self, mut again: bool) -> Result<(), Over> {
        while let Some(asking) = &self.asking {
            let (alias, number) = (asking.alias.clone(), asking.number);
            if again && self.was_made()? {
                return self.accept();
            }
            // The list may have come by another connection, and with it the outcome.
            if self.asking.is_none() {
                return Ok(());
            }
            match self.host.ask(&alias, number) {
                Ok(Asked::Now) => return self.accept(),
                Ok(Asked::Later) => return Ok(()),
                Err(Failure::Lost) => {
                    self.reconnect()?;
                    again = true;
                }
                Err(Failure::Gone) => return Err(self.end(Failure::Gone)),
                Err(Failure::Busy) => {}
                Err(Failure::Returned { description, .. }) if again && description.contains("already in") => {
                    return self.accept();
                }
                // It is gone, and there is no telling why.
                Err(Failure::Returned { class: "DeviceNotFound", .. }) if again => return Err(self.end(Failure::Gone)),
                Err(failure) => return self.reject(failure),
            }
        }
        Ok(())
    }

    /// Returns whether QEMU lists a request that may be that of [`Bridge::asking`].
    fn was_made(&mut self) -> Result<bool, Over> {
        let Some(Asking { alias, before: Some(before), .. }) = &self.asking else { return Ok(false) };
        let (device, before) = (Device::new(alias), *before);
        let status = self.status()?.unwrap_or_default();
        Ok(status.numbers_for(&device).any(|request| request > before))
    }

    /// Processes the end of a request for which libvirt has waited.
    fn asked(&mut self, request: u64, connection: u64, result: Result<(), Failure>) -> Result<(), Over> {
        if self.asking.as_ref().is_none_or(|asking| asking.number != request) {
            return Ok(());
        }
        match result {
            Ok(()) => self.accept(),
            Err(Failure::Lost) => {
                if connection == self.host.connection() {
                    self.reconnect()?;
                }
                self.ask(true)
            }
            // Another client's request was in the way, or libvirt waits no longer, in the words of its language.
            Err(Failure::Busy) => self.ask(true),
            Err(Failure::Gone) => Err(self.end(Failure::Gone)),
            Err(failure) => {
                // If the guest has refused, QEMU has told so before; and libvirt may take the outcome of an earlier
                // request for that of this one.
                self.forward()?;
                if self.was_made()? { self.accept() } else { self.reject(failure) }
            }
        }
    }

    /// Answers the `device_del` that has no answer so far: the guest is asked.
    fn accept(&mut self) -> Result<(), Over> {
        let Some(Asking { id, alias, .. }) = self.asking.take() else { return Ok(()) };
        self.open.push(alias);
        self.answer(&id, Ok(json!({})))
    }

    /// Answers the `device_del` that has no answer so far: libvirt does not ask the guest.
    fn reject(&mut self, failure: Failure) -> Result<(), Over> {
        let Some(Asking { id, .. }) = self.asking.take() else { return Ok(()) };
        self.answer(&id, Err(failure))
    }

    /// Tells the program of all events that libvirt has.
    fn forward(&mut self) -> Result<(), Over> {
        self.host.settle();
        while let Ok(input) = self.inputs.try_recv() {
            self.sort(input)?;
        }
        self.end_at_a_gap()
    }

    /// Tells the program of an event, and keeps any other input for its turn.
    fn sort(&mut self, input: Input) -> Result<(), Over> {
        match input {
            Input::Event(Event::Monitor(event), _) => self.tell(&event),
            Input::Event(Event::Stopped, _) | Input::Line(Err(_)) => Err(Over),
            Input::Event(Event::Disconnected, number) if number != self.host.connection() => Ok(()),
            input => {
                self.waiting.push_back(input);
                Ok(())
            }
        }
    }

    /// Tells the program of an event of QEMU's.
    fn tell(&mut self, event: &MonitorEvent) -> Result<(), Over> {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| json!({}));
        let mut message = json!({ "event": event.name, "data": data });
        if let Some(time) = event.time {
            message["timestamp"] = json!({ "seconds": time / 1_000_000, "microseconds": time % 1_000_000 });
        }
        let data = EventData::of(message.get("data"));
        let is_listed = is_outcome(&event.name)
            && data.ended().next().is_some()
            && data.ended().all(|request| self.listed.contains(&request));
        if is_listed {
            self.listed.retain(|request| data.ended().all(|ended| ended != *request));
            return Ok(());
        }
        self.pass(&message)
    }

    /// Passes an event to the program. The outcome of the request that is being made comes after its answer.
    fn pass(&mut self, message: &Value) -> Result<(), Over> {
        if is_outcome(message["event"].as_str().unwrap_or_default()) {
            let data = EventData::of(message.get("data"));
            self.remember(&data);
            if self.asking.as_ref().is_some_and(|asking| asking.may_end_by(&data)) {
                self.accept()?;
            }
            self.open.retain(|alias| !data.is_about(&Device::new(alias)));
        }
        self.send(message)
    }

    /// Connects again, and tells of what was missed, as far as QEMU shows it.
    fn reconnect(&mut self) -> Result<(), Over> {
        // Those that came by the connection before it was lost.
        self.forward()?;
        self.send(&json!({ "event": LOST, "data": {} }))?;
        while let Err(failure) = self.come_back()? {
            match failure {
                // Events that wait may be those of another run.
                Failure::Gone => return Err(Over),
                Failure::Returned { description, .. } => return Err(self.fail(&format!("libvirt: {description}"))),
                Failure::Lost | Failure::Busy => self.pause()?,
            }
        }
        self.send(&json!({ "event": BACK, "data": {} }))
    }

    /// Waits a while for other inputs.
    fn pause(&mut self) -> Result<(), Over> {
        match self.inputs.recv_timeout(PAUSE) {
            Ok(input) => self.sort(input),
            Err(RecvTimeoutError::Disconnected) => Err(Over),
            Err(RecvTimeoutError::Timeout) => Ok(()),
        }
    }

    /// Makes one attempt to connect again.
    fn come_back(&mut self) -> Result<Result<(), Failure>, Over> {
        if let Err(failure) = self.host.reopen() {
            return Ok(Err(failure));
        }
        let missed = match self.missed() {
            Ok(missed) => missed,
            Err(failure) => return Ok(Err(failure)),
        };
        let told = self.told.clone();
        let (numbered, gone): (Vec<_>, Vec<_>) =
            missed.into_iter().partition(|(data, _)| data.ended().next().is_some());
        for (data, event) in numbered {
            if data.ended().all(|request| !told.contains(&request)) {
                self.pass(&event)?;
                self.listed.extend(data.ended());
            }
        }
        self.forward()?;
        for (data, event) in gone {
            let is_open = |alias: &String| data.is_about(&Device::new(alias));
            if self.open.iter().chain(self.asking.iter().map(|asking| &asking.alias)).any(is_open) {
                self.pass(&event)?;
            }
        }
        Ok(Ok(()))
    }

    /// Returns events about all outcomes that QEMU lists; from a QEMU without a list about the devices that were asked
    /// for and are gone.
    fn missed(&mut self) -> Result<Vec<(EventData, Value)>, Failure> {
        let with_data = |event: Value| (EventData::of(event.get("data")), event);
        let answer = self.host.execute(&json!({ "execute": QUERY }).to_string())?;
        if let Ok(status) = answer_of(&answer) {
            let outcomes = UnplugStatus::of(status).outcomes.unwrap_or_default();
            return Ok(outcomes.iter().filter_map(event_of).map(with_data).collect());
        }
        let list = json!({ "execute": "qom-list", "arguments": { "path": PERIPHERAL } }).to_string();
        let Ok(devices) = answer_of(&self.host.execute(&list)?) else { return Ok(Vec::new()) };
        let is_there = |alias: &str| devices.as_array().into_iter().flatten().any(|device| device["name"] == alias);
        let asked = self.open.iter().chain(self.asking.iter().map(|asking| &asking.alias));
        let gone = asked.filter(|alias| !is_there(alias));
        let event = |alias| json!({ "event": DELETED, "data": { "device": alias }, "listed": true });
        Ok(gone.map(event).map(with_data).collect())
    }

    fn remember(&mut self, data: &EventData) {
        for request in data.ended() {
            if !self.told.contains(&request) {
                self.told.push_back(request);
            }
        }
        let surplus = self.told.len().saturating_sub(LISTED);
        self.told.drain(..surplus);
        self.listed.retain(|request| self.told.contains(request));
    }

    fn answer(&mut self, id: &Value, answer: Result<Value, Failure>) -> Result<(), Over> {
        if self.is_torn.load(Ordering::Relaxed) {
            return self.forward();
        }
        self.send(&match answer {
            Ok(value) => json!({ "return": value, "id": id }),
            Err(Failure::Returned { class, description }) => {
                json!({ "error": { "class": class, "desc": description }, "id": id })
            }
            Err(Failure::Lost | Failure::Gone | Failure::Busy) => return Err(Over),
        })
    }

    /// Tells the program why the bridge ends before the domain.
    fn fail(&mut self, why: &str) -> Over {
        let _ = self.send(&json!({ "event": FAILED, "data": { "desc": why } }));
        Over
    }

    fn send(&mut self, message: &Value) -> Result<(), Over> {
        self.program.write_all(format!("{message}\n").as_bytes())?;
        Ok(self.program.flush()?)
    }
}

/// Container of the devices that were added with an id.
const PERIPHERAL: &str = "/machine/peripheral";

/// Returns whether an event ends requests.
pub fn is_outcome(event: &str) -> bool {
    [REFUSED, DELETED, ENDED].contains(&event)
}

/// Returns the value in an answer of QEMU's, or its error.
fn answer_of(text: &str) -> Result<Value, Failure> {
    let mut answer: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    if let Some(value) = answer.remove("return") {
        return Ok(value);
    }
    let error = answer.get("error");
    let member = |name| error.and_then(|error| error.get(name)).and_then(Value::as_str).unwrap_or_default();
    // Classes that the program tells apart.
    let class = ["CommandNotFound", "DeviceNotFound"].into_iter().find(|class| member("class") == *class);
    Err(Failure::Returned { class: class.unwrap_or("GenericError"), description: member("desc").to_owned() })
}

/// Returns the event that QEMU sent at an outcome that it lists.
fn event_of(entry: &Value) -> Option<Value> {
    let mut data = entry.as_object()?.clone();
    let outcome = data.get("outcome")?.as_str()?.to_owned();
    let (name, cause) = match outcome.as_str() {
        "refused" => (REFUSED, None),
        "released" => (DELETED, Some("guest")),
        "reset" | "cas" => (DELETED, Some(outcome.as_str())),
        "removed" => (DELETED, Some("vmm")),
        _ => (ENDED, None),
    };
    data.extend(cause.map(|cause| ("cause".to_owned(), cause.into())));
    Some(json!({ "event": name, "data": data, "listed": true }))
}

/// Returns what a user is told of an event of the bridge's.
pub fn remark(event: &str) -> Option<&'static str> {
    match event {
        LOST => Some("the connection to libvirt is lost; trying to connect again"),
        BACK => Some(
            "connected to libvirt again; of what ended meanwhile, only what this VM's QEMU lists is shown, and devices \
             that were asked for and are gone",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::History, outcome::Outcome};
    use papr_unplug_qmp::message::Message;
    use std::sync::mpsc::{SyncSender, sync_channel};

    /// Step of a scripted libvirt.
    enum Step {
        /// Answers the next command to the monitor, after these inputs.
        Executes(Vec<Input>, Result<Value, Failure>),
        /// Answers the next request for a device; meanwhile these inputs come.
        Asks(Vec<Input>, Result<Asked, Failure>),
        /// Answers an attempt to connect again.
        Reopens(Result<(), Failure>),
    }

    /// Scripted libvirt. Its last step is the last input.
    struct Script {
        steps: VecDeque<Step>,
        inputs: Option<SyncSender<Input>>,
    }

    impl Script {
        fn add(&self, inputs: Vec<Input>) {
            let sender = self.inputs.as_ref().unwrap();
            inputs.into_iter().for_each(|input| sender.try_send(input).unwrap());
        }

        fn step(&mut self) -> Step {
            self.steps.pop_front().expect("libvirt is called once more than expected")
        }

        fn end(&mut self) {
            if self.steps.is_empty() {
                self.inputs = None;
            }
        }
    }

    impl Host for Script {
        fn execute(&mut self, _: &str) -> Result<String, Failure> {
            let Step::Executes(inputs, answer) = self.step() else { panic!("a command comes too early") };
            self.add(inputs);
            self.end();
            answer.map(|value| value.to_string())
        }

        fn ask(&mut self, alias: &str, _: u64) -> Result<Asked, Failure> {
            let Step::Asks(inputs, answer) = self.step() else { panic!("a request comes too early") };
            assert_eq!(alias, "vcpu1");
            self.add(inputs);
            self.end();
            answer
        }

        fn settle(&mut self) {}

        fn reopen(&mut self) -> Result<(), Failure> {
            let Step::Reopens(answer) = self.step() else { panic!("nothing is lost") };
            self.end();
            answer
        }

        fn connection(&self) -> u64 {
            1
        }
    }

    fn event(name: &str, data: &Value) -> Input {
        let event = MonitorEvent { name: name.to_owned(), time: None, data: data.to_string() };
        Input::Event(Event::Monitor(event), 1)
    }

    fn refusal(request: u64) -> Input {
        event(REFUSED, &json!({ "device": "vcpu1", "request": request }))
    }

    fn command(name: &str, id: u64) -> Input {
        let arguments = json!({ "id": "vcpu1" });
        Input::Line(Ok(json!({ "execute": name, "arguments": arguments, "id": id }).to_string()))
    }

    fn listed(outcomes: &Value) -> Step {
        Step::Executes(vec![], Ok(json!({ "return": { "outcomes": outcomes, "last-request": 5 } })))
    }

    /// Answer of a QEMU that lists nothing.
    fn stock() -> Step {
        Step::Executes(vec![], Ok(json!({ "error": { "class": "CommandNotFound", "desc": "not found" } })))
    }

    /// Result of the first request for which libvirt has waited.
    fn result(result: Result<(), Failure>) -> Input {
        Input::Asked { request: 1, connection: 1, result }
    }

    fn disconnected(connection: u64) -> Input {
        Input::Event(Event::Disconnected, connection)
    }

    fn error(description: &str) -> Failure {
        Failure::Returned { class: "GenericError", description: description.to_owned() }
    }

    /// Serves these inputs by a script, and returns in short what the program is told after the greeting.
    fn told(steps: Vec<Step>, inputs: Vec<Input>) -> Vec<String> {
        let (sender, receiver) = sync_channel(64);
        let mut output = Vec::new();
        let script = Script { steps: steps.into(), inputs: Some(sender) };
        script.add(inputs);
        Bridge::new(script, receiver, Arc::default(), &mut output).serve();
        String::from_utf8(output).unwrap().lines().skip(1).map(short).collect()
    }

    fn short(line: &str) -> String {
        let message: Value = serde_json::from_str(line).unwrap();
        let number = |value: &Value| value.as_u64().map(|number| format!(" {number}")).unwrap_or_default();
        match &message {
            message if message["event"].is_string() => {
                format!("{}{}", message["event"].as_str().unwrap(), number(&message["data"]["request"]))
            }
            message if message["return"].is_object() => format!("return{}", number(&message["id"])),
            message => format!("error{}: {}", number(&message["id"]), message["error"]["desc"].as_str().unwrap()),
        }
    }

    #[test]
    fn event_from_before_an_answer_comes_before_it() {
        let steps = vec![listed(&json!([])), Step::Executes(vec![refusal(7)], Ok(json!({ "return": {}, "id": "x" })))];
        assert_eq!(told(steps, vec![command("query-status", 2)]), ["DEVICE_UNPLUG_GUEST_ERROR 7", "return 2"]);
    }

    #[test]
    fn event_from_before_a_request_comes_before_it_and_one_during_it_after_its_answer() {
        let steps = vec![listed(&json!([])), listed(&json!([])), Step::Asks(vec![refusal(8)], Ok(Asked::Now))];
        let inputs = vec![command("device_del", 2), refusal(7)];
        let expected = ["DEVICE_UNPLUG_GUEST_ERROR 7", "return 2", "DEVICE_UNPLUG_GUEST_ERROR 8"];
        assert_eq!(told(steps, inputs), expected);
    }

    #[test]
    fn outcome_answers_a_request_for_which_libvirt_waits() {
        let rejected = result(Err(error("unplug of device was rejected by the guest")));
        let steps = |step| vec![stock(), stock(), step];
        let refused = Step::Asks(vec![refusal(7), rejected], Ok(Asked::Later));
        let expected = ["return 2", "DEVICE_UNPLUG_GUEST_ERROR 7"];
        assert_eq!(told(steps(refused), vec![command("device_del", 2)]), expected);
        // That of an earlier request does not, and libvirt may take it for that of this one.
        let rejected = result(Err(error("unplug of device was rejected by the guest")));
        let earlier = Step::Asks(vec![refusal(5), rejected], Ok(Asked::Later));
        let made = json!({ "return": { "requests": [{ "device": "vcpu1", "request": 6 }], "last-request": 6 } });
        let made = Step::Executes(vec![refusal(6)], Ok(made));
        let steps_of_ours = vec![listed(&json!([])), listed(&json!([])), earlier, made];
        let expected = ["DEVICE_UNPLUG_GUEST_ERROR 5", "DEVICE_UNPLUG_GUEST_ERROR 6"];
        let told_of_ours = told(steps_of_ours, vec![command("device_del", 2)]);
        assert_eq!(told_of_ours, [expected[0], "return 2", expected[1]]);
        let other = event(REFUSED, &json!({ "device": "dimm1", "request": 6 }));
        let accepted = Step::Asks(vec![other, result(Ok(()))], Ok(Asked::Later));
        let expected = ["DEVICE_UNPLUG_GUEST_ERROR 6", "return 2"];
        assert_eq!(told(steps(accepted), vec![command("device_del", 2)]), expected);
    }

    #[test]
    fn late_result_answers_no_other_request() {
        for late in [Ok(()), Err(error("unplug of device was rejected by the guest")), Err(Failure::Lost)] {
            let steps = vec![
                stock(),
                stock(),
                Step::Asks(vec![refusal(7), command("device_del", 3)], Ok(Asked::Later)),
                stock(),
                Step::Asks(vec![result(late), refusal(8)], Ok(Asked::Later)),
            ];
            let expected = ["return 2", "DEVICE_UNPLUG_GUEST_ERROR 7", "return 3", "DEVICE_UNPLUG_GUEST_ERROR 8"];
            assert_eq!(told(steps, vec![command("device_del", 2)]), expected);
        }
    }

    #[test]
    fn request_that_libvirt_does_not_make_is_answered_by_its_error() {
        let failed = vec![result(Err(error("vcpu '1' cannot be unplugged")))];
        for step in
            [Step::Asks(failed, Ok(Asked::Later)), Step::Asks(vec![], Err(error("vcpu '1' cannot be unplugged")))]
        {
            let told = told(vec![stock(), stock(), step], vec![command("device_del", 2)]);
            assert_eq!(told, ["error 2: vcpu '1' cannot be unplugged"]);
        }
    }

    #[test]
    fn libvirt_that_is_busy_with_the_domain_is_asked_again() {
        let busy = || Step::Executes(vec![], Err(Failure::Busy));
        let steps = vec![busy(), listed(&json!([])), busy(), Step::Executes(vec![], Ok(json!({ "return": {} })))];
        assert_eq!(told(steps, vec![command("query-status", 2)]), ["return 2"]);
        let asks = |answer| Step::Asks(vec![], answer);
        let steps = vec![stock(), stock(), asks(Err(Failure::Busy)), asks(Ok(Asked::Now))];
        assert_eq!(told(steps, vec![command("device_del", 2)]), ["return 2"]);
        let later = Step::Asks(vec![result(Err(Failure::Busy))], Ok(Asked::Later));
        let steps = vec![stock(), stock(), later, asks(Ok(Asked::Now))];
        assert_eq!(told(steps, vec![command("device_del", 2)]), ["return 2"]);
    }

    #[test]
    fn error_of_libvirts_is_none_of_qemus_and_ends_the_stream() {
        let steps = vec![listed(&json!([])), Step::Executes(vec![], Err(error("access denied")))];
        assert_eq!(told(steps, vec![command("query-status", 2)]), ["LIBVIRT_FAILED"]);
    }

    #[test]
    fn outcomes_that_were_missed_are_told_once_after_a_new_connection() {
        let old = json!({ "outcome": "refused", "request": 3 });
        let new = json!({ "outcome": "released", "request": 9 });
        let deleted = event(DELETED, &json!({ "device": "vcpu1", "requests": [9] }));
        let steps = vec![
            listed(&json!([old])),
            Step::Executes(vec![refusal(8)], Err(Failure::Lost)),
            Step::Reopens(Err(Failure::Lost)),
            Step::Reopens(Ok(())),
            listed(&json!([old, { "outcome": "refused", "request": 8 }, new])),
            Step::Executes(vec![deleted, refusal(10)], Ok(json!({ "return": {} }))),
        ];
        let expected =
            ["DEVICE_UNPLUG_GUEST_ERROR 8", LOST, "DEVICE_DELETED 9", BACK, "DEVICE_UNPLUG_GUEST_ERROR 10", "return 2"];
        assert_eq!(told(steps, vec![command("query-status", 2)]), expected);
    }

    #[test]
    fn outcomes_of_before_are_not_told_again_because_a_new_one_comes_meanwhile() {
        let full: Vec<_> = (1..=64).map(|request| json!({ "outcome": "released", "request": request })).collect();
        let steps = vec![
            listed(&json!(full)),
            Step::Executes(vec![], Err(Failure::Lost)),
            Step::Reopens(Ok(())),
            Step::Executes(vec![refusal(65)], Ok(json!({ "return": { "outcomes": full } }))),
            Step::Executes(vec![], Ok(json!({ "return": {} }))),
        ];
        let expected = [LOST, "DEVICE_UNPLUG_GUEST_ERROR 65", BACK, "return 2"];
        assert_eq!(told(steps, vec![command("query-status", 2)]), expected);
    }

    #[test]
    fn device_that_went_meanwhile_is_told_where_qemu_lists_nothing() {
        let devices = |names: &[&str]| {
            let devices: Vec<_> = names.iter().map(|name| json!({ "name": name, "type": "child<x>" })).collect();
            Step::Executes(vec![], Ok(json!({ "return": devices })))
        };
        for (there, told_of_it) in [(devices(&["dimm1"]), true), (devices(&["dimm1", "vcpu1"]), false)] {
            let asked = Step::Asks(vec![disconnected(1)], Ok(Asked::Now));
            let steps = vec![stock(), stock(), asked, Step::Reopens(Ok(())), stock(), there];
            let mut expected = vec!["return 2", LOST];
            expected.extend(told_of_it.then_some("DEVICE_DELETED"));
            expected.push(BACK);
            assert_eq!(told(steps, vec![command("device_del", 2)]), expected);
        }
    }

    #[test]
    fn loss_of_a_connection_is_noticed_without_a_command_and_an_older_connection_does_not_count() {
        let steps = vec![listed(&json!([])), Step::Reopens(Ok(())), listed(&json!([]))];
        assert_eq!(told(steps, vec![disconnected(0), disconnected(1)]), [LOST, BACK]);
    }

    #[test]
    fn domain_that_ended_or_was_started_anew_meanwhile_ends_the_stream() {
        let stopped = || Input::Event(Event::Stopped, 1);
        let lost = |inputs| Step::Executes(inputs, Err(Failure::Lost));
        let steps = vec![listed(&json!([])), lost(vec![]), Step::Reopens(Err(Failure::Gone))];
        assert_eq!(told(steps, vec![command("query-status", 2), refusal(7)]), ["DEVICE_UNPLUG_GUEST_ERROR 7", LOST]);
        let steps = vec![listed(&json!([])), lost(vec![refusal(7), stopped(), refusal(8)])];
        assert_eq!(told(steps, vec![command("query-status", 2)]), ["DEVICE_UNPLUG_GUEST_ERROR 7"]);
        let events = vec![refusal(7), stopped(), refusal(8)];
        assert_eq!(told(vec![listed(&json!([]))], events), ["DEVICE_UNPLUG_GUEST_ERROR 7"]);
        let steps = vec![listed(&json!([])), Step::Executes(vec![refusal(7)], Err(Failure::Gone))];
        assert_eq!(told(steps, vec![command("query-status", 2)]), ["DEVICE_UNPLUG_GUEST_ERROR 7"]);
    }

    #[test]
    fn request_during_which_the_connection_is_lost_is_made_again_unless_it_is_there() {
        let pending = error("Device vcpu1 is already in the process of unplug");
        let lost = || Step::Asks(vec![], Err(Failure::Lost));
        let later = || Step::Asks(vec![result(Err(Failure::Lost))], Ok(Asked::Later));
        let status = |requests: Value| Step::Executes(vec![], Ok(json!({ "return": { "requests": requests } })));
        for first in [lost(), later()] {
            let rest = [
                Step::Reopens(Ok(())),
                listed(&json!([])),
                listed(&json!([])),
                Step::Asks(vec![], Err(pending.clone())),
            ];
            let steps = [listed(&json!([])), listed(&json!([])), first].into_iter().chain(rest).collect();
            assert_eq!(told(steps, vec![command("device_del", 2)]), [LOST, BACK, "return 2"]);
        }
        for first in [lost(), later()] {
            let made = status(json!([{ "device": "vcpu1", "request": 6 }]));
            let rest = [Step::Reopens(Ok(())), listed(&json!([])), made];
            let steps = [listed(&json!([])), listed(&json!([])), first].into_iter().chain(rest).collect();
            assert_eq!(told(steps, vec![command("device_del", 2)]), [LOST, BACK, "return 2"]);
        }
        // It was refused after the list was read for what was missed.
        let steps = vec![
            listed(&json!([])),
            listed(&json!([])),
            lost(),
            Step::Reopens(Ok(())),
            listed(&json!([])),
            listed(&json!([{ "device": "vcpu1", "request": 6, "outcome": "refused" }])),
        ];
        assert_eq!(told(steps, vec![command("device_del", 2)]), [LOST, BACK, "return 2"]);
        let ended = listed(&json!([{ "device": "vcpu1", "request": 6, "outcome": "refused" }]));
        let steps = vec![listed(&json!([])), listed(&json!([])), lost(), Step::Reopens(Ok(())), ended];
        let expected = [LOST, "return 2", "DEVICE_UNPLUG_GUEST_ERROR 6", BACK];
        assert_eq!(told(steps, vec![command("device_del", 2)]), expected);
        let steps = vec![stock(), stock(), Step::Asks(vec![], Err(pending))];
        let rejected = ["error 2: Device vcpu1 is already in the process of unplug"];
        assert_eq!(told(steps, vec![command("device_del", 2)]), rejected);
    }

    #[test]
    fn stream_with_a_gap_ends_there() {
        let (sender, receiver) = sync_channel(64);
        let mut output = Vec::new();
        let script = Script { steps: [listed(&json!([]))].into(), inputs: Some(sender.clone()) };
        script.add(vec![refusal(7), refusal(8)]);
        Bridge::new(script, receiver, Arc::new(true.into()), &mut output).serve();
        let told: Vec<String> = String::from_utf8(output).unwrap().lines().skip(1).map(short).collect();
        let expected = ["DEVICE_UNPLUG_GUEST_ERROR 7", "DEVICE_UNPLUG_GUEST_ERROR 8", FAILED];
        assert_eq!(told, expected);
        drop(sender);

        // No command is answered across the gap.
        let (sender, receiver) = sync_channel(64);
        let mut output = Vec::new();
        let steps = [listed(&json!([])), Step::Executes(vec![], Ok(json!({ "return": {} })))].into();
        let script = Script { steps, inputs: Some(sender) };
        script.add(vec![command("query-status", 2), refusal(7), refusal(8)]);
        Bridge::new(script, receiver, Arc::new(true.into()), &mut output).serve();
        let told: Vec<String> = String::from_utf8(output).unwrap().lines().skip(1).map(short).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn listed_outcome_is_told_by_the_event_of_its_kind() {
        for outcome in ["released", "refused", "reset", "cas", "removed", "withdrawn", "load", "new"] {
            let entry = json!({ "outcome": outcome, "request": 7 });
            let event = event_of(&entry).unwrap().to_string();
            let Ok(Message::Event(event)) = Message::parse(&event) else { panic!("no event: {event}") };
            let told = Outcome::of(event, &History::new(true)).unwrap();
            assert_eq!(told.kind(), Outcome::listed(&entry).kind(), "{outcome}");
        }
    }

    #[test]
    fn errors_of_qemu_keep_the_classes_that_the_program_knows() {
        let refused = json!({ "error": { "class": "CommandNotFound", "desc": "no such command" }, "id": "libvirt-9" });
        let steps = vec![listed(&json!([])), Step::Executes(vec![], Ok(refused))];
        assert_eq!(told(steps, vec![command("query-status", 2)]), ["error 2: no such command"]);
    }
}
