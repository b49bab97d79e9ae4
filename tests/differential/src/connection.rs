// SPDX-License-Identifier: MIT OR Apache-2.0

//! A connection to a VMM that is woken if it sleeps over a core that was removed.
//!
//! QEMU 11.1 can. It joins the thread of a core that is removed, and under `-accel qtest` that thread sleeps until a signal
//! comes (`dummy_cpu_thread_fn`, accel/dummy-cpus.c). None is sent while an earlier one counts as not noticed yet
//! (`thread_kicked`), and two that come one right after the other, as when the machine starts, are noticed as one. Then QEMU
//! waits for ever. The same signal from here ends that: a thread that listens takes it, and one of a stopped machine
//! that has nothing to do listens no more, so that the next is for the other.

use papr_unplug_tests::deadline::{Deadline, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    process::Child,
    time::Duration,
};

/// How long the VMM may be silent before it is woken. To wake one that does not sleep does no harm.
const SILENCE: Duration = Duration::from_millis(10);

/// A connection to a VMM.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    sleeper: Option<Pid>,
}

impl Connection {
    /// To a VMM that has no reason to sleep.
    pub fn on(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Self { stream, sleeper: None })
    }

    /// To one that runs as this process, and may sleep over what it is asked.
    pub fn waking(stream: UnixStream, vmm: &Child) -> io::Result<Self> {
        Ok(Self { sleeper: Some(Pid::from_child(vmm)), ..Self::on(stream)? })
    }

    /// Reads what there is now; an error of the kind [`io::ErrorKind::WouldBlock`] if there is nothing.
    pub fn read_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_nonblocking(true)?;
        let read = self.stream.read(bytes);
        self.stream.set_nonblocking(false)?;
        read
    }
}

impl Read for Connection {
    /// Waits as long as anyone has patience for the VMM.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let deadline = Deadline::start();
        loop {
            match self.stream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Somebody has stopped this process for a while.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => return read,
            }
            if deadline.left().is_zero() {
                let why = format!("the VMM has said nothing for {} s", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            if let Some(vmm) = self.sleeper {
                // SIGUSR1 is QEMU's SIG_IPI. A VMM that has ended meanwhile needs no waking.
                let _ = kill_process(vmm, Signal::USR1);
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::fd::OwnedFd, process::Command};

    #[test]
    fn silent_vmm_is_woken() {
        let (far, near) = UnixStream::pair().unwrap();
        // It says `ready` when it can be woken, and closes the connection when it was.
        let script = "trap 'exit 0' USR1; echo ready >&0; while :; do sleep 0.01; done";
        let mut vmm = Command::new("sh").args(["-c", script]).stdin(OwnedFd::from(far)).spawn().unwrap();
        let mut connection = Connection::waking(near, &vmm).unwrap();
        let mut bytes = [0; 16];
        assert_eq!(connection.read(&mut bytes).unwrap(), 6);
        assert_eq!(connection.read(&mut bytes).unwrap(), 0);
        assert!(vmm.wait().unwrap().success());
    }
}
