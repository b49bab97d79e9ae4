// SPDX-License-Identifier: MIT OR Apache-2.0

//! Domain of libvirt: the VM behind a [`bridge`](mod@crate::bridge).

use crate::{
    bridge::{Asked, Bridge, Failure, Host, Input, is_outcome},
    escape::escaped,
};
use anyhow::{Result, bail};
use papr_unplug_libvirt::{
    connection::Connection,
    domain::Domain,
    error::Error,
    event::{Event, Listener},
};
use papr_unplug_qmp::line;
use serde_json::{Value, json};
use std::{
    fmt,
    io::BufReader,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

/// Events and lines that wait for the bridge. A VM that sends more of them ends the connection.
const WAITING: usize = 1024;

/// Longest data of an event that is kept, in bytes. Those about devices have a few hundred.
const LONGEST: usize = 64 << 10;

/// Name of a domain, and the libvirt that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainName {
    /// libvirt's URI; libvirt chooses one if there is none.
    pub uri: Option<String>,
    /// Name or UUID.
    pub name: String,
}

impl DomainName {
    /// Connects to the domain, and returns a stream that speaks QMP. Blocks.
    pub fn connect(&self) -> Result<UnixStream> {
        let (sender, inputs) = mpsc::sync_channel(WAITING);
        let is_torn = Arc::new(AtomicBool::new(false));
        let mut host = Libvirt {
            name: self.clone(),
            domain: None,
            run: None,
            number: 0,
            inputs: sender.clone(),
            is_torn: Arc::clone(&is_torn),
        };
        host.open().map_err(|error| self.explained(error))?;
        if host.run.is_none() {
            bail!("the domain {self} does not run; `virsh start` starts it");
        }
        let (near, far) = UnixStream::pair()?;
        let mut lines = BufReader::new(far.try_clone()?);
        thread::Builder::new().name("lines".into()).spawn(move || {
            loop {
                let line = line::read(&mut lines);
                let last = line.is_err();
                if sender.send(Input::Line(line)).is_err() || last {
                    return;
                }
            }
        })?;
        let end = End(far.try_clone()?);
        let mut bridge = Bridge::new(host, inputs, is_torn, far);
        thread::Builder::new().name("libvirt".into()).spawn(move || {
            bridge.serve();
            // Before the connection to libvirt is closed, which may take its time.
            drop(end);
        })?;
        Ok(near)
    }

    /// Adds to an error what the user can do about it.
    fn explained(&self, error: Error) -> anyhow::Error {
        let fix = match &error {
            Error::Missing(_) => return anyhow::Error::new(error),
            error if error.is_no_domain() => "`virsh list` shows the domains; --connect names another libvirt",
            _ => "libvirt has to run, and this user has to be allowed to manage it; --connect names another one",
        };
        anyhow::Error::new(error).context(format!("cannot connect to the domain {self}: {fix}"))
    }
}

/// End of the stream for the program, whose other copies stay open. It comes also if the bridge panics.
struct End(UnixStream);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.name))?;
        match &self.uri {
            Some(uri) => write!(f, " at {}", escaped(uri)),
            None => Ok(()),
        }
    }
}

/// Connection to libvirt.
struct Libvirt {
    name: DomainName,
    domain: Option<Arc<Domain>>,
    /// Mark of the run of the domain that the program follows: the thread of its first vCPU. `None` if it does not run.
    run: Option<u64>,
    /// The number of the connection.
    number: u64,
    inputs: SyncSender<Input>,
    is_torn: Arc<AtomicBool>,
}

impl Libvirt {
    /// Connects.
    fn open(&mut self) -> Result<(), Error> {
        self.domain = None;
        self.number += 1;
        let connection = Connection::open(self.name.uri.as_deref())?;
        let domain = Domain::find(connection, &self.name.name, self.listener())?;
        // From here on its end is told.
        self.run = if domain.is_active()? { Some(mark(&domain)?) } else { None };
        self.domain = Some(Arc::new(domain));
        Ok(())
    }

    /// Returns a listener that says nothing more when there is no room.
    fn listener(&self) -> Listener {
        let (inputs, is_torn, number) = (self.inputs.clone(), Arc::clone(&self.is_torn), self.number);
        Box::new(move |mut event: Event| {
            if let Event::Monitor(event) = &mut event
                && event.data.len() > LONGEST
            {
                event.data.clear();
                is_torn.fetch_or(is_outcome(&event.name), Ordering::Relaxed);
            }
            if !is_torn.load(Ordering::Relaxed)
                && let Err(mpsc::TrySendError::Full(_)) = inputs.try_send(Input::Event(event, number))
            {
                is_torn.store(true, Ordering::Relaxed);
            }
        })
    }

    fn domain(&self) -> Result<&Arc<Domain>, Failure> {
        self.domain.as_ref().ok_or(Failure::Lost)
    }

    /// Returns the vCPUs of the core that was plugged under this alias, as libvirt takes them.
    fn vcpus(&mut self, alias: &str) -> Result<Option<String>, Failure> {
        let number = alias.strip_prefix("vcpu").and_then(|number| number.parse::<u32>().ok());
        let Some(first) = number.filter(|number| format!("vcpu{number}") == alias) else { return Ok(None) };
        let answer = self.execute(&json!({ "execute": "query-hotpluggable-cpus" }).to_string())?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        let path = format!("/machine/peripheral/{alias}");
        let cores = answer["return"].as_array().map(Vec::as_slice).unwrap_or_default();
        let core = cores.iter().find(|core| core["qom-path"].as_str() == Some(&path));
        let threads = core.and_then(|core| core["vcpus-count"].as_u64()?.try_into().ok()).unwrap_or(1_u32);
        let last = first.saturating_add(threads.saturating_sub(1));
        Ok(Some(if last > first { format!("{first}-{last}") } else { first.to_string() }))
    }
}

impl Host for Libvirt {
    fn execute(&mut self, command: &str) -> Result<String, Failure> {
        let domain = self.domain()?;
        domain.execute(command).map_err(|error| failure(domain, error))
    }

    fn ask(&mut self, alias: &str, request: u64) -> Result<Asked, Failure> {
        let vcpus = self.vcpus(alias)?;
        let domain = Arc::clone(self.domain()?);
        let Some(vcpus) = vcpus else {
            domain.detach(alias).map_err(|error| failure(&domain, error))?;
            return Ok(Asked::Now);
        };
        if domain.ask_for_vcpus(&vcpus).map_err(|error| failure(&domain, error))? {
            return Ok(Asked::Now);
        }
        let (inputs, connection) = (self.inputs.clone(), self.number);
        let wait = move || {
            let result = match domain.take_vcpus(&vcpus) {
                // libvirt does not wait for the guest any longer; this program does.
                Err(error) if error.is_timeout() && error.to_string().contains("unplug request timed out") => Ok(()),
                result => result.map_err(|error| failure(&domain, error)),
            };
            // If the program has gone, nobody waits for the answer.
            let _ = inputs.send(Input::Asked { request, connection, result });
        };
        let spawned = thread::Builder::new().name("setvcpu".into()).spawn(wait);
        spawned.map_err(|error| Failure::Returned { class: "GenericError", description: error.to_string() })?;
        Ok(Asked::Later)
    }

    fn settle(&mut self) {
        if let Some(domain) = &self.domain {
            domain.connection().settle();
        }
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        let before = self.run;
        match self.open() {
            Ok(()) if self.run == before => Ok(()),
            Ok(()) => Err(Failure::Gone),
            Err(error) if error.is_no_domain() => Err(Failure::Gone),
            Err(_) => {
                self.run = before;
                Err(Failure::Lost)
            }
        }
    }

    fn connection(&self) -> u64 {
        self.number
    }
}

/// Returns the thread of the first vCPU, which tells a run of a domain from the next one as long as the host runs.
fn mark(domain: &Domain) -> Result<u64, Error> {
    let query = json!({ "execute": "query-cpus-fast" }).to_string();
    // libvirt gives up where another client has the domain for long.
    let answer = loop {
        match domain.execute(&query) {
            Err(error) if error.is_timeout() => {}
            answer => break answer?,
        }
    };
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    Ok(answer["return"][0]["thread-id"].as_u64().unwrap_or_default())
}

/// Returns what an error of a call means for the bridge.
fn failure(domain: &Domain, error: Error) -> Failure {
    if !domain.connection().is_alive() {
        return Failure::Lost;
    }
    // A transient domain that has ended does not exist.
    let is_gone = match domain.is_active() {
        Ok(is_active) => !is_active,
        Err(error) => error.is_no_domain(),
    };
    if is_gone || error.is_no_domain() {
        return Failure::Gone;
    }
    if error.is_timeout() {
        return Failure::Busy;
    }
    let description = error.to_string();
    // libvirt up to 12.8 at least calls an alias that it does not have an internal error.
    let is_no_device = error.is_no_device() || description.contains("no device found with alias");
    Failure::Returned { class: if is_no_device { "DeviceNotFound" } else { "GenericError" }, description }
}
