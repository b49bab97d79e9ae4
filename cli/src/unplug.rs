// SPDX-License-Identifier: MIT OR Apache-2.0

//! `unplug`: requests for devices, and the wait for their outcomes.

use crate::{
    device::Device,
    end::{Interruption, WaitEnd},
    endpoint::Endpoint,
    exit_status::ExitStatus,
    list,
    monitor::{Monitor, Stop},
    notes::Notes,
    removal::Removal,
    schema::UnplugStatus,
    wait::{PANICKED, Patience, Wait},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{io::Write, sync::Arc};

/// Asks for devices, waits, and prints each outcome. The exit status is that of the first device that was not released.
pub fn run(
    endpoint: &Endpoint,
    as_json: bool,
    patience: Patience,
    names: &[String],
    out: &mut dyn Write,
) -> Result<ExitStatus> {
    let notes = Notes::with_spinner();
    notes.at("waiting for the VM");
    let devices: Vec<Device> = names.iter().map(|name| Device::new(name)).collect();
    let begun = Monitor::greet(endpoint, &notes, patience.deadline()).and_then(|mut monitor| {
        let prepared = prepare(&mut monitor)?;
        Ok((monitor, prepared))
    });
    let (mut monitor, (before, runs, mut limits)) = match begun.map_err(|error| error.downcast::<Stop>()) {
        Ok(begun) => begun,
        Err(Ok(Stop::Interrupted(why))) => {
            drop(notes);
            let end = WaitEnd::NotAsked(why);
            devices.iter().try_for_each(|device| end.print(device, as_json, out))?;
            return Ok(end.exit_status());
        }
        Err(Ok(stop)) => return Err(stop.into()),
        Err(Err(error)) => return Err(error),
    };
    let mut statuses = vec![ExitStatus::Done; devices.len()];
    let (mut removals, mut others) = (Vec::new(), Vec::new());
    let mut earlier = before.as_ref().and_then(|before| before.last_request);
    let mut stopped: Option<Interruption> = None;
    for (number, device) in devices.iter().enumerate() {
        let end = match stopped {
            Some(why) => WaitEnd::NotAsked(why),
            None => match Removal::ask(&mut monitor, device.clone(), earlier, runs) {
                Ok(Ok(mut removal)) => {
                    limits.drain(..).for_each(|limit| notes.say(&limit));
                    introduce(&removal, &notes);
                    if let Err(Stop::Interrupted(why)) = removal.identify(&mut monitor) {
                        stopped = Some(why);
                    }
                    // A later one is not this one.
                    earlier = earlier.max(removal.request());
                    removals.push((number, removal));
                    continue;
                }
                Ok(Err(error)) => WaitEnd::Rejected(error),
                Err(Stop::Interrupted(why)) => {
                    stopped = Some(why);
                    WaitEnd::MaybeAsked(why)
                }
                Err(Stop::Lost(lost)) => WaitEnd::Lost(Arc::new(lost)),
            },
        };
        others.push((number, end));
    }
    for (number, end) in &others {
        if let Err(error) = notes.paused(|| end.print(&devices[*number], as_json, out)) {
            notes.say(&format!("cannot print the outcome: {error}"));
        }
        statuses[*number] = end.exit_status();
    }
    if let Some((_, removal)) = removals.first() {
        notes.at(&format!("{}: asked, waiting for the guest", removal.device()));
    }
    let patience = if let Some(why) = stopped { Patience::Ended(why) } else { patience };
    let wait = Wait { monitor: &mut monitor, notes: &notes, is_listed: before.is_some(), removals };
    for (number, status) in wait.until_all_end(patience, as_json, out) {
        statuses[number] = status;
    }
    Ok(statuses.into_iter().find(|status| *status != ExitStatus::Done).unwrap_or(ExitStatus::Done))
}

/// Returns the status before the request, whether the VM runs, and notes on the limits of what can be known.
fn prepare(monitor: &mut Monitor) -> Result<(Option<UnplugStatus>, bool, Vec<String>), Stop> {
    let before = list::ask(monitor)?.ok().map(UnplugStatus::of);
    let answer = monitor.execute("query-status", json!({}))?.unwrap_or_default();
    monitor.forget();
    let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    let runs = answer.get("running").and_then(Value::as_bool).unwrap_or(true);
    let mut limits = Vec::new();
    if before.is_none() {
        limits.push(
            "this VM's QEMU gives no reason for a refusal, and a guest may refuse silently; waiting until there is an answer"
                .to_owned(),
        );
    }
    if status == "guest-panicked" {
        limits.push(PANICKED.to_owned());
    } else if !runs {
        limits.push(format!("the VM does not run ({status}): the guest cannot answer until it does"));
    }
    Ok((before, runs, limits))
}

/// Prints a note on a request that the guest does not get.
fn introduce(removal: &Removal, notes: &Notes) {
    if removal.is_withheld() {
        let request = removal.request().map_or("the request".to_owned(), |request| format!("request {request}"));
        notes.say(&format!(
            "{}: the guest is not asked for this PCI function by itself: {request} is withheld until function 0 of the \
             slot is asked for",
            removal.device()
        ));
    }
}
