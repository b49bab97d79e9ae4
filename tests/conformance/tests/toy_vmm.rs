// SPDX-License-Identifier: MIT OR Apache-2.0

//! Toy VMM of `host-vmm/examples`: the verdicts about it, and what the conversations do not show.

use anyhow::Result;
use papr_unplug_conformance::{
    judge,
    verdict::{Verdict, Verdicts},
};
use papr_unplug_differential::{
    machine::Device, monitor::Reply, party::Party as _, program::Program, step::Step, vmm::Vmm,
};
use serde_json::json;
use std::path::Path;

/// The number of clauses that report words and conversations show of a VMM that can do all of them.
const SHOWN: usize = 54;

fn program() -> Program {
    Program::new(Path::new(env!("CARGO_BIN_EXE_toy-vmm")), Path::new(""))
}

fn count(verdicts: &Verdicts, is_meant: impl Fn(&Verdict) -> bool) -> usize {
    verdicts.iter().filter(|(_, verdict)| is_meant(verdict)).count()
}

#[test]
fn no_clause_fails_and_most_are_shown() -> Result<()> {
    let verdicts = judge::vmm(&program(), "toy VMM")?;
    println!("{verdicts}");
    assert_eq!(count(&verdicts, |verdict| matches!(verdict, Verdict::Fail { .. })), 0);
    assert!(count(&verdicts, |verdict| *verdict == Verdict::Pass) >= SHOWN);
    Ok(())
}

/// PUE-V-068
#[test]
fn function_behind_a_phb_goes_with_it() -> Result<()> {
    let (phb, function) = (Device::Phb.first(), Device::OnRoot.first());
    let mut vmm = Vmm::start(&program())?;
    for step in [Step::Remove(Device::OnRoot), Step::Remove(Device::Phb), Step::Isolate(phb)] {
        vmm.play(&step)?;
    }
    assert_eq!(vmm.play(&Step::Unusable(phb))?.to_string(), "0, phb1 deleted, root1 deleted");
    let told: Vec<_> = vmm.events().iter().map(|event| event.data("requests").cloned()).collect();
    assert_eq!(told, [Some(json!([2])), Some(json!([1]))]);
    assert_eq!(vmm.play(&Step::Sense(9003, function))?.to_string(), "-3, state 0");
    Ok(())
}

/// PUE-V-056
#[test]
fn function_0_that_is_not_plugged_asks_for_no_other() -> Result<()> {
    let mut vmm = Vmm::start(&program().without(Device::Function0))?;
    play_all(&mut vmm, &[(Step::Remove(Device::Function0), "rejected"), (Step::TakeEvent, "no event")])
}

/// PUE-V-074, PUE-V-076
#[test]
fn event_about_a_device_that_is_gone_asks_for_nothing() -> Result<()> {
    let core = Device::Core.first();
    let mut vmm = Vmm::start(&program())?;
    play_all(&mut vmm, &[(Step::Remove(Device::Core), "accepted"), (Step::Isolate(core), "0")])?;
    assert_eq!(vmm.play(&Step::Unusable(core))?.to_string(), "0, core1 deleted");
    assert!(vmm.play(&Step::TakeEvent)?.to_string().starts_with("event [00, 00, 00, 00"));
    Ok(())
}

#[test]
fn device_that_is_added_is_announced_and_taken() -> Result<()> {
    let core = Device::Core.first();
    let mut vmm = Vmm::start(&program().without(Device::Core))?;
    play_all(
        &mut vmm,
        &[
            (Step::Sense(9003, core), "0, state 2"),
            (Step::Add(Device::Core), "accepted"),
            (Step::TakeEvent, "event [01, 01, 02, 00, 10, 00, 00, 01"),
            (Step::Usable(core), "0"),
            (Step::Unisolate(core), "0"),
            (Step::Configure(core, 1), "2"),
            (Step::Configure(core, 9), "0"),
            (Step::Sense(9003, core), "0, state 1"),
            (Step::Add(Device::Core), "rejected"),
        ],
    )
}

/// PUE-V-081
#[test]
fn queued_event_and_half_read_node_go_along_with_a_migration() -> Result<()> {
    let core = Device::Core.first();
    let mut vmm = Vmm::start(&program().without(Device::Core))?;
    play_all(
        &mut vmm,
        &[
            (Step::Add(Device::Core), "accepted"),
            (Step::Usable(core), "0"),
            (Step::Unisolate(core), "0"),
            (Step::Configure(core, 1), "2"),
        ],
    )?;
    let mut vmm = vmm.migrate(&program())?;
    // Two of the three calls that hand the node over are left.
    play_all(&mut vmm, &[(Step::Configure(core, 2), "0"), (Step::TakeEvent, "event [01, 01"), (Step::TakeEvent, "no")])
}

#[test]
fn client_that_makes_no_sense_gets_an_error_and_the_machine_goes_on() -> Result<()> {
    let mut vmm = Vmm::start(&program())?;
    let lines = [
        "",
        "nonsense",
        "read 0xffffffffffffffff 2",
        "read 0 0x8000000000000000",
        "write 0x3fffff 2 0x0102",
        "write 0 2 0x012",
        "write 0 9 0x01",
        "write 0 1 0x+1",
        "rtas set-indicator 3 0xfffffffffffffffe 1 0",
        "rtas set-indicator 99999999999999999999 0 1 0",
        "rtas set-indicator 0x4000000000000000 0 1 0",
        "rtas set-indicator 3 0 17 0",
    ];
    for line in lines {
        assert!(vmm.qtest()?.ask(&[line]).is_err(), "{line}");
    }
    let calls =
        ["set-indicator 3 0 0 0", "set-indicator 2 0 1 0x100", "get-sensor-state 2 0 1 0x100", "nonsense 0 0 1 0x100"];
    for call in calls {
        vmm.qtest()?.ask(&[&format!("rtas {call}")])?;
    }
    let commands = [
        ("device_del", json!({})),
        ("device_del", json!({ "id": 7 })),
        ("device_add", json!({ "id": "nonsense" })),
        ("device-unplug-withdraw", json!({ "request": -1 })),
        ("migrate-incoming", json!({ "uri": "file:/dev/null" })),
        ("migrate", json!(7)),
        ("", json!(null)),
    ];
    for (command, arguments) in commands {
        assert!(matches!(vmm.execute(command, arguments)?, Reply::Refused(_)), "{command}");
    }
    assert_eq!(vmm.play(&Step::Remove(Device::Core))?.to_string(), "accepted");
    Ok(())
}

/// Takes the steps; what an answer has to begin with stands beside each.
fn play_all(vmm: &mut Vmm, steps: &[(Step, &str)]) -> Result<()> {
    for (step, expected) in steps {
        let answer = vmm.play(step)?.to_string();
        assert!(answer.starts_with(expected), "{step} came to `{answer}`, not `{expected}`");
    }
    Ok(())
}
