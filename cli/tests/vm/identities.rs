// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU with the patches, without a guest: requests have numbers, and each outcome names its request and cause.

use crate::{program::Program, unbooted::Unbooted};
use anyhow::Result;
use serde_json::{Value, json};

/// Asks for the core, and waits until the VM has accepted the request.
fn ask(vm: &Unbooted) -> Result<Program> {
    let mut asking = Program::start(&vm.monitor, &["unplug", "--json", "cpu1"])?;
    assert!(asking.note()?.contains("the VM does not run"));
    Ok(asking)
}

#[test]
fn reset_that_takes_the_device_is_named_with_the_request() -> Result<()> {
    let mut vm = Unbooted::start_ours("identities-reset")?;
    let asking = ask(&vm)?;
    vm.qmp.execute("system_reset", json!({}))?;
    let ended = asking.end()?;
    let object: Value = serde_json::from_str(&ended.text)?;
    assert_eq!(
        (ended.status, &object["outcome"], &object["requests"]),
        (Some(4), &json!("closed-by-reset"), &json!([1]))
    );
    assert_eq!(object["event"]["data"]["cause"], "reset");
    Ok(())
}

#[test]
fn request_that_is_withdrawn_ends_and_can_be_looked_up() -> Result<()> {
    let mut vm = Unbooted::start_ours("identities-withdraw")?;
    let asking = ask(&vm)?;
    vm.qmp.execute("device-unplug-withdraw", json!({ "request": 1 }))?;
    let ended = asking.end()?;
    let object: Value = serde_json::from_str(&ended.text)?;
    assert_eq!((ended.status, &object["outcome"], &object["request"]), (Some(9), &json!("withdrawn"), &json!(1)));

    let again = Program::run(&vm.monitor, &["withdraw", "1"])?;
    assert_eq!(again.status, Some(6), "{again:?}");
    let found = Program::run(&vm.monitor, &["wait", "1"])?;
    assert_eq!(found.status, Some(9), "{found:?}");
    assert!(found.text.starts_with("cpu1: withdrawn\n"), "{found:?}");
    let list = Program::run(&vm.monitor, &["list", "--outcomes"])?;
    assert!(list.text.ends_with("no removal is pending\nrequest 1 cpu1 withdrawn\n"), "{list:?}");
    Ok(())
}

#[test]
fn request_without_a_wait_is_withdrawn_by_the_program() -> Result<()> {
    let vm = Unbooted::start_ours("identities-no-wait")?;
    let asked = Program::run(&vm.monitor, &["unplug", "--no-wait", "cpu1"])?;
    assert_eq!(asked.status, Some(0), "{asked:?}");
    assert!(asked.text.starts_with("cpu1: asked for, request 1\n"), "{asked:?}");
    let withdrawn = Program::run(&vm.monitor, &["withdraw", "1"])?;
    assert_eq!(withdrawn.status, Some(0), "{withdrawn:?}");
    let timed_out = Program::run(&vm.monitor, &["unplug", "--timeout", "2s", "cpu1"])?;
    assert_eq!(timed_out.status, Some(124), "{timed_out:?}");
    assert!(timed_out.text.starts_with("cpu1: still pending, request 2\n"), "{timed_out:?}");
    Ok(())
}
