// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connection to a VMM, which wakes the VMM if it hangs in the removal of a core.
//!
//! QEMU 11.1 can hang under `-accel qtest`. It joins the thread of a core that is removed, and that thread sleeps in
//! `sigwait()` until SIG_IPI comes (`dummy_cpu_thread_fn`, accel/dummy-cpus.c). QEMU sends no signal while an earlier
//! one counts as unnoticed (`thread_kicked`), and two signals in quick succession are noticed as one. The connection
//! sends the same signal to the process whenever the VMM is silent, unless the VMM would end by it.

use papr_unplug_tests::deadline::{Deadline, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    process::Child,
    time::Duration,
};

/// Time without an answer after which the VMM is woken. Waking a VMM that is not asleep does no harm.
const SILENCE: Duration = Duration::from_millis(10);

/// QEMU's SIG_IPI.
const WAKING: Signal = Signal::USR1;

/// A connection to a VMM.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    sleeper: Option<Pid>,
}

impl Connection {
    /// Connects to a VMM that is never woken.
    pub fn on(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Self { stream, sleeper: None })
    }

    /// Connects to the VMM that runs as this process, and wakes it when it is silent.
    pub fn waking(stream: UnixStream, vmm: &Child) -> io::Result<Self> {
        Ok(Self { sleeper: Some(Pid::from_child(vmm)), ..Self::on(stream)? })
    }

    /// Reads without waiting; fails with [`io::ErrorKind::WouldBlock`] if nothing has arrived.
    pub fn read_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_nonblocking(true)?;
        let read = self.stream.read(bytes);
        self.stream.set_nonblocking(false)?;
        read
    }
}

impl Read for Connection {
    /// Waits until the VMM answers, up to [`PATIENCE`].
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let deadline = Deadline::start();
        loop {
            match self.stream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A signal, such as SIGCONT, interrupted the call.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => return read,
            }
            if deadline.left().is_zero() {
                let why = format!("the VMM has said nothing for {} s", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            if let Some(vmm) = self.sleeper.filter(|vmm| awaits(*vmm, WAKING)) {
                // The VMM may have ended meanwhile.
                let _ = kill_process(vmm, WAKING);
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

/// Returns whether the main thread of a process blocks, ignores or catches a signal, whose default is to end the process.
fn awaits(process: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap_or_default();
    is_awaited(&status, signal)
}

/// Returns the same for the text of `proc_pid_status(5)`. A thread that makes another one blocks all signals meanwhile,
/// SIGSEGV included, and does not await them.
fn is_awaited(status: &str, signal: Signal) -> bool {
    let masks = status.lines().filter_map(|line| line.split_once(':'));
    let masks = masks.filter(|(name, _)| ["SigBlk", "SigIgn", "SigCgt"].contains(name));
    let masks = masks.filter_map(|(name, mask)| Some((name, u64::from_str_radix(mask.trim(), 16).ok()?)));
    let has = |mask: u64, signal: Signal| mask >> (signal.as_raw() - 1) & 1 == 1;
    masks.into_iter().any(|(name, mask)| has(mask, signal) && !(name == "SigBlk" && has(mask, Signal::SEGV)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::fd::OwnedFd, process::Command};

    #[test]
    fn silent_vmm_is_woken() {
        let (far, near) = UnixStream::pair().unwrap();
        // Prints `ready` when the trap is set, and closes the connection when it is woken.
        let script = "trap 'exit 0' USR1; echo ready >&0; while :; do sleep 0.01; done";
        let mut vmm = Command::new("sh").args(["-c", script]).stdin(OwnedFd::from(far)).spawn().unwrap();
        let mut connection = Connection::waking(near, &vmm).unwrap();
        let mut bytes = [0; 16];
        assert_eq!(connection.read(&mut bytes).unwrap(), 6);
        assert_eq!(connection.read(&mut bytes).unwrap(), 0);
        assert!(vmm.wait().unwrap().success());
    }

    #[test]
    fn vmm_that_would_end_by_the_signal_is_not_woken() {
        let (far, near) = UnixStream::pair().unwrap();
        let script = "sleep 0.05; echo awake >&0";
        let mut vmm = Command::new("sh").args(["-c", script]).stdin(OwnedFd::from(far)).spawn().unwrap();
        let mut connection = Connection::waking(near, &vmm).unwrap();
        assert_eq!(connection.read(&mut [0; 16]).unwrap(), 6);
        assert!(vmm.wait().unwrap().success());
    }

    #[test]
    fn vmm_that_makes_a_thread_awaits_no_signal() {
        let status = |blocked, caught| format!("SigBlk:\t{blocked}\nSigIgn:\t0000000000001000\nSigCgt:\t{caught}\n");
        let nothing = "0000000000000000";
        assert!(is_awaited(&status("0000000010002240", nothing), WAKING));
        assert!(is_awaited(&status(nothing, "0000000000000200"), WAKING));
        assert!(!is_awaited(&status("fffffffffffbfeff", nothing), WAKING));
        assert!(!is_awaited(&status(nothing, "0000000100000440"), WAKING));
    }
}
