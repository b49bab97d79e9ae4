// SPDX-License-Identifier: MIT OR Apache-2.0

//! Unix sockets between a VMM and a test.

use crate::deadline::Deadline;
use anyhow::{Context as _, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::Child,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Abstract Unix socket that a VMM connects to. It listens before the VMM starts, and leaves no file behind.
#[derive(Debug)]
pub struct UnixSocket {
    name: String,
    listener: UnixListener,
}

impl UnixSocket {
    /// Listens on a new socket. `role` becomes a part of its name, for people.
    pub fn new(role: &str) -> Result<Self> {
        let name = name(role);
        let address = SocketAddr::from_abstract_name(&name)?;
        let listener = UnixListener::bind_addr(&address).with_context(|| format!("cannot listen on @{name}"))?;
        Ok(Self { name, listener })
    }

    /// Returns the socket as an argument of `-chardev`.
    pub fn chardev(&self) -> String {
        format!("socket,path={},abstract=on", self.name)
    }

    /// Returns the socket as an argument of `-qmp`.
    pub fn legacy_chardev(&self) -> String {
        format!("unix:{},abstract=on", self.name)
    }

    /// Waits until the VMM has connected or ended.
    pub fn accept(&self, vmm: &Child) -> Result<UnixStream> {
        let process = pidfd_open(Pid::from_child(vmm), PidfdFlags::empty()).context("cannot watch the VMM")?;
        let mut either = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        let patience = Timespec::try_from(Deadline::start().left())?;
        if poll(&mut either, Some(&patience)).context("cannot wait for the VMM")? == 0 {
            bail!("the VMM did not connect to @{}", self.name);
        }
        if either[0].revents().is_empty() {
            bail!("the VMM ended before its guest began");
        }
        Ok(self.listener.accept().context("cannot accept the VMM's connection")?.0)
    }
}

/// Returns a name that no other socket has.
pub fn name(role: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("papr-unplug-{}-{}-{role}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn vmm_that_ends_at_once_is_reported_and_not_waited_for() {
        let mut child = Command::new("true").spawn().unwrap();
        let error = UnixSocket::new("test").unwrap().accept(&child).unwrap_err();
        child.wait().unwrap();
        assert_eq!(error.to_string(), "the VMM ended before its guest began");
    }
}
