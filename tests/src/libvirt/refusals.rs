// SPDX-License-Identifier: MIT OR Apache-2.0

//! Times from refusals to the end of the `virsh` command that asked.

use super::domain::Domain;
use crate::{artifacts::Artifacts, pairing::Side};
use anyhow::{Context as _, Result, ensure};
use std::{
    fmt,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Number of domains that are asked at a time. libvirt mostly waits.
const DOMAINS: usize = 4;

/// Time that libvirt waits on pseries, less what a busy machine may add to a refusal.
const WHOLE_WAIT: Duration = Duration::from_secs(9);

/// Times from QEMU's event to the end of `virsh`, in ascending order.
#[derive(Debug)]
pub struct Times(Vec<Duration>);

/// Asks for the last CPU of domains on the patched QEMU, by a libvirt that this command enters, this many times in all.
pub fn time(artifacts: &Artifacts, enter: &Path, number: usize) -> Result<Times> {
    let domains = DOMAINS.min(number.max(1));
    let shares = (0..domains).map(|domain| number / domains + usize::from(domain < number % domains));
    let times: Result<Vec<_>> = thread::scope(|scope| {
        let start = |(domain, share)| scope.spawn(move || refused(artifacts, enter, domain, share));
        let running: Vec<_> = shares.enumerate().map(start).collect();
        running.into_iter().map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut times: Vec<Duration> = times?.concat();
    times.sort_unstable();
    Ok(Times(times))
}

/// Asks for the last CPU of one domain.
fn refused(artifacts: &Artifacts, enter: &Path, domain: usize, number: usize) -> Result<Vec<Duration>> {
    let mut domain = Domain::start_with(enter, artifacts, Side::Ours, &format!("libvirt.refusals.{domain}"))?;
    let cpu = domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let mut times = Vec::with_capacity(number);
    for nth in 1..=number {
        let refused = domain.set_cpus(1)?;
        let end = SystemTime::now().duration_since(UNIX_EPOCH)?;
        ensure!(refused.has_failed_with("rejected by the guest"), "{refused:?}");
        let event = domain.monitor.wait_for_nth("DEVICE_UNPLUG_GUEST_ERROR", cpu, nth)?;
        let told = event.time.context("libvirt does not say when QEMU sent the event")?;
        times.push(end.saturating_sub(told));
    }
    Ok(times)
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(times) = self;
        let milliseconds = |time: Option<&Duration>| time.map_or(0, |time| time.as_millis());
        let late = |limit| times.iter().filter(|time| **time > limit).count();
        write!(
            f,
            "median {} ms, longest {} ms; {} took longer than 100 ms, {} the whole wait",
            milliseconds(times.get(times.len() / 2)),
            milliseconds(times.last()),
            late(Duration::from_millis(100)),
            late(WHOLE_WAIT)
        )
    }
}
