// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random removals of a mounted disk, of a card that a program opens through VFIO, and of free cards, while agents,
//! `drmgr` and the guest module come and go. Each request has one outcome, the disk keeps its data, what is in use stays,
//! and each card can go. `PAPR_UNPLUG_REMOVALS` sets their number.

use crate::{open, own_agent};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_tests::{
    device::{
        Device as _,
        pci::{Function, Phb},
    },
    dice::Dice,
    pairing::Pairing,
    removal::Outcome,
    story::story_on,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start, qmp::Event},
};
use serde_json::Value;
use std::{collections::BTreeMap, env};

/// Number of removals if the environment sets none.
const REMOVALS: u32 = 30;

/// Seed of all choices if the environment sets none (`PAPR_UNPLUG_SEED`).
const SEED: u64 = 19;

/// Program that reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agent {
    None,
    RtasErrd,
    Own,
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn random_removals_have_one_outcome_each_and_a_mounted_disk_keeps_its_data() {
    let disk = Function::new(1);
    // VFIO wants the functions of a PHB as a whole.
    let phb = Phb::new(1);
    let cards = [Function::new(2), Function::new(3), Function::behind(&phb, 1, 0)];
    let mut options = disk.options_of_disk().to_vec();
    options.extend(["-device".to_owned(), phb.option()]);
    options.extend(cards.iter().flat_map(|card| ["-device".to_owned(), card.option()]));
    let number = variable("PAPR_UNPLUG_REMOVALS").map_or(REMOVALS, |number| u32::try_from(number).unwrap_or(u32::MAX));
    let seed = variable("PAPR_UNPLUG_SEED").unwrap_or(SEED);
    println!("{number} removals, seed {seed}");
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_distribution(options), |vm| {
        vm.mount_disk()?;
        vm.stand_before_drmgr()?;
        let [_, _, opened] = &cards;
        let (agent, told) = (Agent::None, BTreeMap::new());
        let mut session = Session { dice: Dice::of(seed), agent, opened: opened.clone(), is_open: false, told };
        let first = vm.qmp.moment();
        for nth in 0..number {
            session.disturb(vm).with_context(|| format!("before removal {nth}"))?;
            let function = session.dice.pick(&[&disk, &cards[0], &cards[1], opened]);
            session.remove(vm, function).with_context(|| format!("removal {nth}, of {}", function.id()))?;
        }
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        assert!(vm.has_data()?);
        println!("{:?}", session.told);
        each_request_once(vm.qmp.since(first), number)
    });
}

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Random removals.
struct Session {
    dice: Dice,
    agent: Agent,
    /// Card that a program opens through VFIO.
    opened: Function,
    /// True while the program has it open.
    is_open: bool,
    /// Number of outcomes, by their names and reasons.
    told: BTreeMap<String, u32>,
}

impl Session {
    /// Changes something in the guest, or nothing.
    fn disturb(&mut self, vm: &mut Vm) -> Result<()> {
        match self.dice.below(8) {
            0 => {
                let agent = self.dice.pick(&[Agent::None, Agent::RtasErrd, Agent::Own]);
                self.change_agent(vm, agent)
            }
            // A module that is loaded does not know which of the events in the log another one had answered.
            1 if self.agent != Agent::None => {
                vm.unload_module()?;
                vm.load_module()
            }
            2 => vm.guest.sh("{ /usr/sbin/lsslot -c pci > /dev/null 2>&1 & }").map(drop),
            3 if self.is_open => {
                self.is_open = false;
                vm.let_go_of_vfio()
            }
            // A program that was killed may have taken the card from the kernel already.
            3 if vm.has_vfio()? && vm.has_function(&self.opened)? => {
                self.is_open = true;
                vm.hold_by_vfio(&self.opened)
            }
            _ => Ok(()),
        }
    }

    fn change_agent(&mut self, vm: &mut Vm, agent: Agent) -> Result<()> {
        let agents = "rtas_errd papr-unplug-agent";
        vm.guest.sh(&format!("killall -q -KILL {agents}; while pidof {agents} > /dev/null; do :; done"))?;
        self.agent = agent;
        match agent {
            Agent::None => Ok(()),
            Agent::RtasErrd => vm.start_agent(),
            Agent::Own => own_agent::start(vm),
        }
    }

    /// Requests a function, and sometimes kills an agent or what it has started meanwhile. Adds the function again if it
    /// was released.
    fn remove(&mut self, vm: &mut Vm, function: &Function) -> Result<()> {
        let request = vm.request_untraced(function)?;
        if self.dice.one_in(4) {
            let victim = self.dice.pick(&["rtas_errd", "papr-unplug-agent", "drmgr", "exe"]);
            vm.guest.sh(&format!("killall -q -KILL {victim}; true"))?;
            if matches!(victim, "rtas_errd" | "papr-unplug-agent") {
                self.agent = Agent::None;
            }
        }
        let removal = vm.watch_untraced(&request)?;
        ensure!(removal.events.len() == 1, "{:?}", removal.events);
        let reason = removal.events[0].body.data("reason").and_then(Value::as_str).unwrap_or_default();
        *self.told.entry(format!("{} {reason}", removal.outcome)).or_default() += 1;
        if removal.outcome == Outcome::Released {
            ensure!(function.id() != "nic1.0", "the mounted disk was given back");
            ensure!(!self.is_open || function.id() != self.opened.id(), "the card that is open was given back");
            self.change_agent(vm, Agent::RtasErrd)?;
            vm.plug_function(function)?;
        }
        Ok(())
    }
}

/// Checks that there was one outcome for each request.
fn each_request_once(events: &[Event], number: u32) -> Result<()> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for event in events.iter().filter(|event| event.body.name() == "DEVICE_UNPLUG_GUEST_ERROR") {
        *counts.entry(event.body.data("request").and_then(Value::as_u64).unwrap_or_default()).or_default() += 1;
    }
    ensure!(counts.values().all(|count| *count == 1), "some request was refused twice: {counts:?}");
    let deleted = events.iter().filter(|event| event.body.name() == "DEVICE_DELETED" && event.body.device().is_some());
    let outcomes = counts.len() + deleted.count();
    ensure!(outcomes == usize::try_from(number)?, "{outcomes} outcomes of {number} requests");
    Ok(())
}
