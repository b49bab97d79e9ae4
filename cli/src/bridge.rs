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
    Asked(Result<(), Failure>),
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
    /// libvirt returns an error.
    Returned {
        /// QMP's error class.
        class: &'static str,
        /// Text for people.
        description: String,
    },
}

/// libvirt, as the bridge uses it.
pub trait Host {
    /// Executes a QMP command and returns the answer.
    fn execute(&mut self, command: &str) -> Result<String, Failure>;
    /// Asks the guest for the device of an alias.
    fn ask(&mut self, alias: &str) -> Result<Asked, Failure>;
    /// Returns when all events that libvirt had when this was called are among the inputs.
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
    /// True if an event was dropped because too many wait.
    is_torn: Arc<AtomicBool>,
    /// Inputs that were received before their turn.
    waiting: VecDeque<Input>,
    program: W,
    /// The request that libvirt makes while it waits for the guest, without an answer to the program so far.
    later: Option<Later>,
    /// The latest requests whose outcomes were told, or had been there before.
    told: VecDeque<u64>,
}

/// `device_del` without an answer so far.
struct Later {
    id: Value,
    alias: String,
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
        let (waiting, told) = (VecDeque::new(), VecDeque::new());
        Self { host, inputs, is_torn, waiting, program, later: None, told }
    }

    /// Serves until the domain or the program ends. The program reads the end of the stream then.
    pub fn serve(mut self) {
        let _ = self.converse();
    }

    fn converse(&mut self) -> Result<(), Over> {
        for entry in self.outcomes() {
            self.remember(&entry);
        }
        self.send(&json!({ "QMP": { "version": {}, "capabilities": [] } }))?;
        loop {
            let input = match self.waiting.pop_front() {
                Some(input) => input,
                None => self.inputs.recv().map_err(|_| Over)?,
            };
            match input {
                Input::Line(line) => self.obey(&line.map_err(|_| Over)?)?,
                Input::Event(Event::Monitor(event), _) => self.tell(&event)?,
                Input::Event(Event::Stopped, _) => return Ok(()),
                Input::Event(Event::Disconnected, number) if number == self.host.connection() => self.reconnect()?,
                Input::Event(Event::Disconnected, _) => {}
                Input::Asked(result) => self.asked(result)?,
            }
            // A stream with a gap is worse than none.
            if self.is_torn.load(Ordering::Relaxed) {
                return Ok(());
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
                // Events from before are no answer to this request.
                self.forward()?;
                self.ask(Later { id, alias }, false)
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
            match self.host.execute(command) {
                Ok(text) => {
                    let mut answer: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
                    return Ok(match answer.remove("return") {
                        Some(value) => Ok(value),
                        None => Err(failure_of(&answer)),
                    });
                }
                Err(Failure::Lost) => self.reconnect()?,
                Err(Failure::Gone) => return Err(Over),
                Err(failure) => return Ok(Err(failure)),
            }
        }
    }

    /// Asks for a device. If it may have been asked for before, libvirt may say that a request is pending already.
    fn ask(&mut self, request: Later, mut again: bool) -> Result<(), Over> {
        loop {
            match self.host.ask(&request.alias) {
                Ok(Asked::Now) => return self.answer(&request.id, Ok(json!({}))),
                Ok(Asked::Later) => {
                    self.later = Some(request);
                    return Ok(());
                }
                Err(Failure::Lost) => {
                    self.reconnect()?;
                    again = true;
                }
                Err(Failure::Gone) => return Err(Over),
                Err(Failure::Returned { description, .. }) if again && description.contains("already in progress") => {
                    return self.answer(&request.id, Ok(json!({})));
                }
                Err(failure) => return self.answer(&request.id, Err(failure)),
            }
        }
    }

    /// Processes the end of a request for which libvirt has waited.
    fn asked(&mut self, result: Result<(), Failure>) -> Result<(), Over> {
        match result {
            Ok(()) => {}
            Err(Failure::Lost) => {
                if let Some(request) = self.later.take() {
                    self.reconnect()?;
                    return self.ask(request, true);
                }
            }
            Err(Failure::Gone) => return Err(Over),
            Err(failure) => {
                // If the guest has refused, QEMU has told so before.
                self.forward()?;
                if let Some(Later { id, .. }) = self.later.take() {
                    return self.answer(&id, Err(failure));
                }
            }
        }
        match self.later.take() {
            Some(Later { id, .. }) => self.answer(&id, Ok(json!({}))),
            None => Ok(()),
        }
    }

    /// Tells the program of all events that libvirt has.
    fn forward(&mut self) -> Result<(), Over> {
        self.host.settle();
        while let Ok(input) = self.inputs.try_recv() {
            match input {
                Input::Event(Event::Monitor(event), _) => self.tell(&event)?,
                other => self.waiting.push_back(other),
            }
        }
        Ok(())
    }

    /// Tells the program of an event.
    fn tell(&mut self, event: &MonitorEvent) -> Result<(), Over> {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| json!({}));
        let mut message = json!({ "event": event.name, "data": data });
        if let Some(time) = event.time {
            message["timestamp"] = json!({ "seconds": time / 1_000_000, "microseconds": time % 1_000_000 });
        }
        self.pass(&message)
    }

    /// Passes an event to the program. One that ends the request that libvirt is waiting for comes after its answer.
    fn pass(&mut self, message: &Value) -> Result<(), Over> {
        let name = message["event"].as_str().unwrap_or_default();
        if [REFUSED, DELETED, ENDED].contains(&name) {
            self.remember(&message["data"]);
            let data = EventData::of(message.get("data"));
            let is_later = |later: &mut Later| data.is_about(&Device::new(&later.alias));
            if let Some(Later { id, .. }) = self.later.take_if(is_later) {
                self.answer(&id, Ok(json!({})))?;
            }
        }
        self.send(message)
    }

    /// Connects again, and tells of the outcomes that were missed, as far as QEMU lists them.
    fn reconnect(&mut self) -> Result<(), Over> {
        self.send(&json!({ "event": LOST, "data": {} }))?;
        while let Err(failure) = self.host.reopen() {
            if failure == Failure::Gone {
                return Err(Over);
            }
            match self.inputs.recv_timeout(PAUSE) {
                Ok(Input::Line(Err(_))) | Err(RecvTimeoutError::Disconnected) => return Err(Over),
                // One of the connection that is lost.
                Ok(Input::Event(Event::Monitor(event), _)) => self.tell(&event)?,
                Ok(input) => self.waiting.push_back(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.forward()?;
        for entry in self.outcomes() {
            let is_told = EventData::of(Some(&entry)).ended().any(|request| self.told.contains(&request));
            if let (false, Some(event)) = (is_told, event_of(&entry)) {
                self.pass(&event)?;
            }
        }
        self.send(&json!({ "event": BACK, "data": {} }))
    }

    /// Returns the outcomes that QEMU lists, oldest first. Stock QEMU lists none.
    fn outcomes(&mut self) -> Vec<Value> {
        let answer = self.host.execute(&json!({ "execute": QUERY }).to_string()).unwrap_or_default();
        let answer: Map<String, Value> = serde_json::from_str(&answer).unwrap_or_default();
        let status = UnplugStatus::of(answer.get("return").cloned().unwrap_or_default());
        status.outcomes.unwrap_or_default()
    }

    fn remember(&mut self, data: &Value) {
        self.told.extend(EventData::of(Some(data)).ended());
        let surplus = self.told.len().saturating_sub(LISTED);
        self.told.drain(..surplus);
    }

    fn answer(&mut self, id: &Value, answer: Result<Value, Failure>) -> Result<(), Over> {
        self.send(&match answer {
            Ok(value) => json!({ "return": value, "id": id }),
            Err(Failure::Returned { class, description }) => {
                json!({ "error": { "class": class, "desc": description }, "id": id })
            }
            Err(Failure::Lost | Failure::Gone) => return Err(Over),
        })
    }

    fn send(&mut self, message: &Value) -> Result<(), Over> {
        self.program.write_all(format!("{message}\n").as_bytes())?;
        Ok(self.program.flush()?)
    }
}

/// Makes a failure of an error of QEMU's.
fn failure_of(answer: &Map<String, Value>) -> Failure {
    let error = answer.get("error");
    let member = |name| error.and_then(|error| error.get(name)).and_then(Value::as_str).unwrap_or_default();
    // Classes that the program tells apart.
    let class = ["CommandNotFound", "DeviceNotFound"].into_iter().find(|class| member("class") == *class);
    Failure::Returned { class: class.unwrap_or("GenericError"), description: member("desc").to_owned() }
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
    Some(json!({ "event": name, "data": data }))
}

/// Returns what a user is told of an event of the bridge's.
pub fn remark(event: &str) -> Option<&'static str> {
    match event {
        LOST => Some("the connection to libvirt is lost; trying to connect again"),
        BACK => Some("connected to libvirt again; of what ended meanwhile, only what this VM's QEMU lists is shown"),
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

        fn ask(&mut self, alias: &str) -> Result<Asked, Failure> {
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
        Step::Executes(vec![], Ok(json!({ "return": { "outcomes": outcomes } })))
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
        let steps = vec![listed(&json!([])), Step::Asks(vec![refusal(8)], Ok(Asked::Now))];
        let inputs = vec![command("device_del", 2), refusal(7)];
        let expected = ["DEVICE_UNPLUG_GUEST_ERROR 7", "return 2", "DEVICE_UNPLUG_GUEST_ERROR 8"];
        assert_eq!(told(steps, inputs), expected);
    }

    #[test]
    fn outcome_answers_a_request_for_which_libvirt_waits() {
        let rejected = Input::Asked(Err(error("unplug of device was rejected by the guest")));
        let steps = vec![listed(&json!([])), Step::Asks(vec![refusal(7), rejected], Ok(Asked::Later))];
        assert_eq!(told(steps, vec![command("device_del", 2)]), ["return 2", "DEVICE_UNPLUG_GUEST_ERROR 7"]);
        let other = event(REFUSED, &json!({ "device": "dimm1", "request": 6 }));
        let steps = vec![listed(&json!([])), Step::Asks(vec![other, Input::Asked(Ok(()))], Ok(Asked::Later))];
        assert_eq!(told(steps, vec![command("device_del", 2)]), ["DEVICE_UNPLUG_GUEST_ERROR 6", "return 2"]);
    }

    #[test]
    fn request_that_libvirt_does_not_make_is_answered_by_its_error() {
        let failed = vec![Input::Asked(Err(error("vcpu '1' cannot be unplugged")))];
        for step in
            [Step::Asks(failed, Ok(Asked::Later)), Step::Asks(vec![], Err(error("vcpu '1' cannot be unplugged")))]
        {
            let told = told(vec![listed(&json!([])), step], vec![command("device_del", 2)]);
            assert_eq!(told, ["error 2: vcpu '1' cannot be unplugged"]);
        }
    }

    #[test]
    fn outcomes_that_were_missed_are_told_once_after_a_new_connection() {
        let old = json!({ "outcome": "refused", "request": 3 });
        let new = json!({ "outcome": "released", "request": 9 });
        let steps = vec![
            listed(&json!([old])),
            Step::Executes(vec![refusal(8)], Err(Failure::Lost)),
            Step::Reopens(Err(Failure::Lost)),
            Step::Reopens(Ok(())),
            listed(&json!([old, { "outcome": "refused", "request": 8 }, new])),
            Step::Executes(vec![], Ok(json!({ "return": {} }))),
        ];
        let expected = [LOST, "DEVICE_UNPLUG_GUEST_ERROR 8", "DEVICE_DELETED 9", BACK, "return 2"];
        assert_eq!(told(steps, vec![command("query-status", 2)]), expected);
    }

    #[test]
    fn loss_of_a_connection_is_noticed_without_a_command_and_an_older_connection_does_not_count() {
        let lost = |number| Input::Event(Event::Disconnected, number);
        let steps = vec![listed(&json!([])), Step::Reopens(Ok(())), listed(&json!([]))];
        assert_eq!(told(steps, vec![lost(0), lost(1)]), [LOST, BACK]);
    }

    #[test]
    fn domain_that_ended_or_was_started_anew_meanwhile_ends_the_stream() {
        let steps =
            || vec![listed(&json!([])), Step::Executes(vec![], Err(Failure::Lost)), Step::Reopens(Err(Failure::Gone))];
        assert_eq!(told(steps(), vec![command("query-status", 2), refusal(7)]), [LOST]);
        let stopped = vec![refusal(7), Input::Event(Event::Stopped, 1), refusal(8)];
        assert_eq!(told(vec![listed(&json!([]))], stopped), ["DEVICE_UNPLUG_GUEST_ERROR 7"]);
    }

    #[test]
    fn request_during_which_the_connection_is_lost_is_made_again() {
        let pending = error("Device vcpu1 unplug already in progress");
        for first in [
            Step::Asks(vec![], Err(Failure::Lost)),
            Step::Asks(vec![Input::Asked(Err(Failure::Lost))], Ok(Asked::Later)),
        ] {
            let rest = [Step::Reopens(Ok(())), listed(&json!([])), Step::Asks(vec![], Err(pending.clone()))];
            let steps = [listed(&json!([])), first].into_iter().chain(rest).collect();
            assert_eq!(told(steps, vec![command("device_del", 2)]), [LOST, BACK, "return 2"]);
        }
        let steps = vec![listed(&json!([])), Step::Asks(vec![], Err(pending))];
        let rejected = ["error 2: Device vcpu1 unplug already in progress"];
        assert_eq!(told(steps, vec![command("device_del", 2)]), rejected);
    }

    #[test]
    fn stream_with_a_gap_ends() {
        let (sender, receiver) = sync_channel(64);
        let mut output = Vec::new();
        let script = Script { steps: [listed(&json!([]))].into(), inputs: Some(sender) };
        script.add(vec![refusal(7), refusal(8)]);
        Bridge::new(script, receiver, Arc::new(true.into()), &mut output).serve();
        assert_eq!(String::from_utf8(output).unwrap().lines().skip(1).map(short).count(), 1);
    }

    #[test]
    fn listed_outcome_is_told_by_the_event_of_its_kind() {
        for outcome in ["released", "refused", "reset", "cas", "removed", "withdrawn", "load", "new"] {
            let entry = json!({ "outcome": outcome, "request": 7, "path": "/machine/peripheral/vcpu1" });
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
