// SPDX-License-Identifier: MIT OR Apache-2.0

//! Migration with a pending request, from and to QEMU with and without the patches.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
    machine::Device::{self, Core, Dimm1, Dimm2, Function0, Function1, Pci, Phb},
    monitor::Reply,
    play::play,
    program::Program,
    step::Step::{self, Remove},
    vmm::Vmm,
};
use serde_json::{Value, json};

const CORE: u32 = Core.first();
const LMB: u32 = Dimm2.first();

/// Selects the newest machine type that both QEMUs have, which may differ in age, and leaves out the virtio device:
/// QEMU 11.1 rejects the state that QEMU 10.0 sends of it.
fn common(program: Program) -> Program {
    let program = program.with(&["-machine", "pseries-10.0"]);
    Device::ALL.into_iter().filter(|device| device.is_pci()).fold(program, Program::without)
}

fn ours() -> Result<Program> {
    Ok(common(Program::ours()?))
}

fn stock() -> Result<Program> {
    Ok(common(Program::stock()?))
}

/// Starts a VMM and plays a scene on it.
fn begin(program: &Program, scene: &[(Step, &str)]) -> Result<Vmm> {
    let mut vmm = Vmm::start(program)?;
    play(&mut vmm, scene)?;
    Ok(vmm)
}

fn proceed(vmm: &mut Vmm, scene: &[(Step, &str)]) -> Result<()> {
    use papr_unplug_differential::party::Party as _;
    for (step, expected) in scene {
        let answer = vmm.play(step)?.to_string();
        ensure!(answer == *expected, "{step} came to `{answer}`, not `{expected}`");
    }
    Ok(())
}

fn pending(vmm: &mut Vmm) -> Result<Value> {
    match vmm.execute("query-device-unplug-requests", json!({}))? {
        Reply::Done(answer) => Ok(answer),
        other => anyhow::bail!("no answer: {other:?}"),
    }
}

/// PUE-V-080, PUE-V-081, PUE-V-101: identity, token, promise and progress migrate.
#[test]
fn promised_request_goes_from_ours_to_ours_and_is_answered_there() -> Result<()> {
    let mut source = begin(
        &ours()?,
        &[
            (Step::ARM, "0"),
            (Remove(Core), "accepted"),
            (Remove(Dimm2), "accepted"),
            (Step::refused(CORE, 1, 16, 1), "0, core1 refused"),
            (Step::Isolate(LMB), "0"),
            (Step::Unusable(LMB), "0"),
            (Step::started(LMB, 2), "0"),
        ],
    )?;
    let expected = json!({
        "offered": ["cpu", "memory", "phb", "pci"], "armed": ["cpu", "memory", "phb", "pci"], "last-request": 2,
        "requests": [{ "request": 2, "device": "dimm2", "path": "/machine/peripheral/dimm2", "class": "memory",
                       "promised": true, "started": true, "withheld": false, "hint": false }],
        "outcomes": [{ "request": 1, "device": "core1", "path": "/machine/peripheral/core1", "class": "cpu",
                       "outcome": "refused", "source": "reported-by-token", "reason": "last-cpu", "reason-code": 1,
                       "persistence": "needs-action",
                       "errno": 16, "drc": CORE }],
    });
    assert_eq!(pending(&mut source)?, expected);

    let mut destination = source.migrate(&ours()?)?;
    // The names of the devices of outcomes do not migrate: a device may be gone.
    let mut migrated = expected;
    let outcome = migrated["outcomes"][0].as_object_mut().expect("it is an object");
    outcome.retain(|member, _| !["device", "path"].contains(&member.as_str()));
    assert_eq!(pending(&mut destination)?, migrated);
    proceed(&mut destination, &[(Step::refused(LMB + 1, 6, 16, 2), "0, dimm2 refused")])?;
    let [event] = destination.events() else { panic!("{:?}", destination.events()) };
    let members = ["request", "source", "errno", "drc", "address"].map(|member| event.data(member).cloned());
    let address = u64::from((LMB + 1) & 0x0fff_ffff) << 28;
    let expected = [json!(2), json!("reported-by-token"), json!(16), json!(LMB + 1), json!(address)];
    assert_eq!(members, expected.map(Some));
    proceed(
        &mut destination,
        &[
            (Step::refused(LMB + 1, 6, 16, 2), "9000"),
            (Remove(Dimm2), "accepted"),
            (Step::Isolate(LMB + 1), "0"),
            (Step::Unusable(LMB + 1), "0, dimm2 deleted"),
        ],
    )
}

/// PUE-V-058, PUE-V-080, PUE-V-081: so do promises about a PHB and a function, and a request that is withheld.
#[test]
fn requests_for_a_phb_and_functions_go_from_ours_to_ours_and_are_answered_there() -> Result<()> {
    let begun = [Remove(Phb), Remove(Pci), Remove(Function1)].map(|step| (step, "accepted"));
    let source = begin(&Program::ours()?, &[&[(Step::ARM, "0")], &begun[..]].concat())?;
    let mut destination = source.migrate(&Program::ours()?)?;
    proceed(
        &mut destination,
        &[
            (Step::refused(Phb.first(), 28, 255, 1), "0, phb1 refused"),
            (Step::refused(Pci.first(), 25, 2, 2), "0, pci1 refused"),
            (Remove(Function0), "accepted"),
            (Step::refused(Function1.first(), 29, 11, 3), "0, function1 refused"),
            (Step::refused(Function0.first(), 29, 11, 4), "0, function0 refused"),
        ],
    )
}

/// PUE-V-083: the user withdraws the offer before the migration.
#[test]
fn pending_request_goes_from_ours_to_stock_when_reports_are_switched_off() -> Result<()> {
    let mut source = begin(&ours()?, &[(Step::ARM, "0"), (Remove(Core), "accepted")])?;
    let off = json!({ "path": "/machine", "property": "unplug-reports", "value": false });
    assert!(matches!(source.execute("qom-set", off)?, Reply::Done(_)));
    proceed(&mut source, &[(Step::ARM, "-3")])?;

    let mut destination = source.migrate(&stock()?)?;
    proceed(
        &mut destination,
        &[(Step::ARM, "-3"), (Step::Isolate(CORE), "0"), (Step::Unusable(CORE), "0, core1 deleted")],
    )
}

/// A machine of which nothing was asked, and whose guest is not armed, needs no preparation.
#[test]
fn machine_as_it_booted_goes_from_ours_to_stock_and_back() -> Result<()> {
    let source = begin(&ours()?, &[])?;
    let middle = source.migrate(&stock()?)?;
    let mut destination = middle.migrate(&ours()?)?;
    proceed(&mut destination, &[(Step::Sense(9003, CORE), "0, state 1"), (Remove(Dimm2), "accepted")])
}

/// PUE-V-083, PUE-V-086: what was told about requests goes nowhere where they are not known, unless the user says so.
#[test]
fn idle_machine_goes_from_ours_to_stock_when_reports_are_switched_off() -> Result<()> {
    let mut source = begin(
        &ours()?,
        &[
            (Remove(Dimm1), "accepted"),
            (Step::Isolate(Dimm1.first()), "0"),
            (Step::Unusable(Dimm1.first()), "0, dimm1 deleted"),
        ],
    )?;
    let off = json!({ "path": "/machine", "property": "unplug-reports", "value": false });
    assert!(matches!(source.execute("qom-set", off)?, Reply::Done(_)));
    let middle = source.migrate(&stock()?)?;
    let mut destination = middle.migrate(&ours()?)?;
    proceed(&mut destination, &[(Step::Sense(9003, Dimm1.first()), "0, state 2"), (Remove(Dimm2), "accepted")])
}

/// PUE-V-082: stock QEMU aborts at the refusal.
#[test]
fn pending_request_goes_from_stock_to_ours_and_is_answered_there() -> Result<()> {
    let source =
        begin(&stock()?, &[(Remove(Dimm2), "accepted"), (Step::Isolate(LMB), "0"), (Step::Unusable(LMB), "0")])?;
    let mut destination = source.migrate(&ours()?)?;
    let answer = pending(&mut destination)?;
    assert_eq!((&answer["armed"], &answer["requests"][0]["promised"]), (&json!([]), &json!(false)), "{answer}");
    proceed(
        &mut destination,
        &[
            (Step::Unisolate(LMB + 1), "0, dimm2 refused"),
            (Remove(Dimm2), "accepted"),
            (Step::Isolate(LMB + 1), "0"),
            (Step::Unusable(LMB + 1), "0, dimm2 deleted"),
        ],
    )
}
