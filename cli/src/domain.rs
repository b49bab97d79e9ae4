// SPDX-License-Identifier: MIT OR Apache-2.0

//! Domain of libvirt: the VM behind a [`bridge`](mod@crate::bridge).

use crate::{
    bridge::{Asked, Bridge, Failure, Host, Input},
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
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

/// Events and lines that wait for the bridge. A VM that sends more of them ends the connection.
const WAITING: usize = 4096;

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
        let bridge = Bridge::new(host, inputs, is_torn, far.try_clone()?);
        thread::Builder::new().name("libvirt".into()).spawn(move || {
            bridge.serve();
            // The thread that reads has a copy of the stream.
            let _ = far.shutdown(std::net::Shutdown::Both);
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
    /// The run of the domain that the program follows.
    run: Option<u32>,
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
        self.run = domain.run();
        self.domain = Some(Arc::new(domain));
        Ok(())
    }

    fn listener(&self) -> Listener {
        let (inputs, is_torn, number) = (self.inputs.clone(), Arc::clone(&self.is_torn), self.number);
        Box::new(move |event: Event| {
            if let Err(mpsc::TrySendError::Full(_)) = inputs.try_send(Input::Event(event, number)) {
                is_torn.store(true, Ordering::Relaxed);
            }
        })
    }

    fn domain(&self) -> Result<&Arc<Domain>, Failure> {
        self.domain.as_ref().ok_or(Failure::Lost)
    }

    /// Returns the vCPUs of the core that was plugged under this alias, as libvirt takes them.
    fn vcpus(&mut self, alias: &str) -> Result<Option<String>, Failure> {
        let Some(first) = alias.strip_prefix("vcpu").and_then(|number| number.parse::<u64>().ok()) else {
            return Ok(None);
        };
        let answer = self.execute(&json!({ "execute": "query-hotpluggable-cpus" }).to_string())?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        let path = format!("/machine/peripheral/{alias}");
        let cores = answer["return"].as_array().map(Vec::as_slice).unwrap_or_default();
        let core = cores.iter().find(|core| core["qom-path"].as_str() == Some(&path));
        let threads = core.and_then(|core| core["vcpus-count"].as_u64()).unwrap_or(1);
        Ok(Some(if threads > 1 { format!("{first}-{}", first + threads - 1) } else { first.to_string() }))
    }
}

impl Host for Libvirt {
    fn execute(&mut self, command: &str) -> Result<String, Failure> {
        let domain = self.domain()?;
        domain.execute(command).map_err(|error| failure(domain, error))
    }

    fn ask(&mut self, alias: &str) -> Result<Asked, Failure> {
        let vcpus = self.vcpus(alias)?;
        let domain = Arc::clone(self.domain()?);
        let Some(vcpus) = vcpus else {
            domain.detach(alias).map_err(|error| failure(&domain, error))?;
            return Ok(Asked::Now);
        };
        if domain.ask_for_vcpus(&vcpus).map_err(|error| failure(&domain, error))? {
            return Ok(Asked::Now);
        }
        let inputs = self.inputs.clone();
        thread::spawn(move || {
            let result = match domain.take_vcpus(&vcpus) {
                // libvirt does not wait for the guest any longer; this program does.
                Err(error) if error.is_timeout() => Ok(()),
                result => result.map_err(|error| failure(&domain, error)),
            };
            // If the program has gone, nobody waits for the answer.
            let _ = inputs.send(Input::Asked(result));
        });
        Ok(Asked::Later)
    }

    fn settle(&mut self) {
        if let Some(domain) = &self.domain {
            // If the connection is lost, the next call says so.
            let _ = domain.connection().settle();
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

/// Returns what an error of a call means for the bridge.
fn failure(domain: &Domain, error: Error) -> Failure {
    if !domain.connection().is_alive() {
        return Failure::Lost;
    }
    let description = error.to_string();
    // libvirt 12.8 calls an alias that it does not have an internal error.
    let is_no_device = error.is_no_device() || description.contains("no device found with alias");
    Failure::Returned { class: if is_no_device { "DeviceNotFound" } else { "GenericError" }, description }
}
