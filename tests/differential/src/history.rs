// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long random histories with a load in the middle, and an account of every request in them.
//!
//! The account knows nothing of how requests are decided. It holds that each accepted `device_del` makes one request,
//! that the request is listed until it ends, that it ends once and with its own device, and that no number is given
//! twice.

use crate::{
    account::Account,
    answer::{Answer, Response},
    machine::Device,
    party::Party,
    sequence::of_reporting_seed,
    step::{Step, indicator::REPORTS},
};
use anyhow::Result;
use papr_unplug_tests::dice::Dice;
use std::fmt;

/// A turn of a history.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// A guest or the host takes a step.
    Step(Step),
    /// The host withdraws one of the open requests.
    Withdraw(u32),
    /// The host looks at the list of requests.
    List,
    /// The host saves the state.
    Save,
    /// The host loads the state that it saved.
    Load,
    /// The host migrates the machine to a new VMM.
    Migrate,
}

/// The load in the middle of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Middle {
    /// None.
    Nothing,
    /// The state of a third of the history is loaded after two thirds, or later if devices were added meanwhile.
    Load,
    /// The machine migrates.
    Migration,
}

/// A fact that a VMM tells about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A request has ended.
    Ended(u64, Device, How),
    /// A device is gone.
    Deleted(Device),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Refused; true if by a report that named the request by its token.
    Refused(bool),
    /// With its device.
    Gone,
    /// Withdrawn.
    Withdrawn,
    /// By a load.
    Load,
}

/// The list of a VMM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Number and device of each open request, and whether it is withheld, oldest first.
    pub open: Vec<(u64, Device, bool)>,
    /// The numbers of the requests that ended last, oldest first.
    pub ended: Vec<u64>,
}

/// A VMM that tells about requests and saves states.
pub trait Keeper: Party {
    /// Returns the number of the request that the last `device_del` made.
    fn made(&self) -> Option<u64>;

    /// Returns what was told in the last step, withdrawal, load or migration.
    fn told(&self) -> Vec<Told>;

    /// Returns the list of requests.
    fn list(&mut self) -> Result<List>;

    /// Withdraws a request. Returns whether the VMM accepts that.
    fn withdraw(&mut self, request: u64) -> Result<bool>;

    /// Saves the state, in the place of an earlier one.
    fn save(&mut self) -> Result<()>;

    /// Loads the saved state. The devices of that time are plugged.
    fn load(&mut self) -> Result<()>;

    /// Goes on as a new VMM that was handed the state.
    fn migrate(&mut self) -> Result<()>;
}

/// A history that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    turns: Vec<(Turn, Option<Answer>)>,
    why: String,
}

/// A token that stands for the one that the guest has read last.
pub(crate) const LAST_TOKEN: u16 = 12;

/// The number of turns after which the list is compared.
const LIST_EVERY: usize = 50;

/// Returns the history of a seed.
pub fn of_seed(seed: u64, length: usize, middle: Middle) -> Vec<Turn> {
    let mut dice = Dice::of(seed ^ 0x4849_5354_4f52_5900);
    let mut turns = Vec::with_capacity(length + LIST_EVERY);
    while turns.len() < length {
        for step in of_reporting_seed(dice.bits()) {
            // A reset takes as long as a thousand calls.
            if step == Step::Reset && !dice.one_in(8) {
                continue;
            }
            turns.push(Turn::Step(step));
            if let Step::Remove(device) = step
                && dice.one_in(3)
            {
                // A guest that reads its events and refuses.
                let refused = Step::refused(device.first(), dice.below(28) as u8, 16, LAST_TOKEN);
                turns.extend([Step::TakeEvent, Step::TakeEvent, refused].map(Turn::Step));
            }
            if dice.one_in(40) {
                turns.push(Turn::Withdraw(dice.bits() as u32));
            }
        }
    }
    turns.truncate(length);
    let at = |part: usize| length * part / 6;
    match middle {
        Middle::Nothing => {}
        Middle::Load => {
            turns[at(2)] = Turn::Save;
            // As soon as no device is there that was not there then.
            (at(4)..length).step_by(10).for_each(|at| turns[at] = Turn::Load);
        }
        Middle::Migration => turns[at(3)] = Turn::Migrate,
    }
    (LIST_EVERY..length).step_by(LIST_EVERY).for_each(|at| turns.insert(at, Turn::List));
    turns.push(Turn::List);
    turns
}

/// Plays a history from where the VMM is, and accounts for it. Returns the failure, if there is one.
pub fn play(party: &mut dyn Keeper, account: &mut Account, turns: &[Turn]) -> Result<Option<Failure>> {
    let mut played = Vec::with_capacity(turns.len());
    for turn in turns {
        account.turn();
        let turn = account.resolved(*turn);
        let result = take(party, account, turn, &mut played)?;
        if let Err(why) = result {
            return Ok(Some(Failure { turns: played, why }));
        }
    }
    Ok(None)
}

fn take(
    party: &mut dyn Keeper,
    account: &mut Account,
    turn: Turn,
    played: &mut Vec<(Turn, Option<Answer>)>,
) -> Result<Result<(), String>> {
    let step = match turn {
        Turn::Step(step) => step,
        Turn::Withdraw(_) => {
            played.push((turn, None));
            let Some(request) = account.chosen(turn) else { return Ok(Ok(())) };
            if !party.withdraw(request)? {
                return Ok(Err(format!("request {request} is open and cannot be withdrawn")));
            }
            return Ok(account.withdrawn(request, &party.told()));
        }
        Turn::List => {
            played.push((turn, None));
            return Ok(account.compare(&party.list()?));
        }
        Turn::Save => {
            played.push((turn, None));
            account.save();
            party.save()?;
            return Ok(Ok(()));
        }
        Turn::Load => {
            // The devices of that time have to be there, and no others.
            for device in account.missing() {
                let answer = party.play(&Step::Add(device))?;
                played.push((Turn::Step(Step::Add(device)), Some(answer.clone())));
                if let Err(why) = account.step(&Step::Add(device), &answer, None, &party.told()) {
                    return Ok(Err(why));
                }
            }
            if !account.can_load() {
                return Ok(Ok(()));
            }
            played.push((turn, None));
            party.load()?;
            let told = party.told();
            return Ok(account.loaded(&told, &party.list()?));
        }
        Turn::Migrate => {
            played.push((turn, None));
            party.migrate()?;
            return Ok(account.migrated(&party.list()?));
        }
    };
    let answer = party.play(&step)?;
    played.push((turn, Some(answer.clone())));
    if let Response::Ended(why) = &answer.response {
        return Ok(Err(format!("the VMM ended: {why}")));
    }
    Ok(account.step(&step, &answer, party.made(), &party.told()))
}

/// Returns whether a step reports about a request.
pub(crate) fn is_report(step: &Step) -> bool {
    matches!(step, Step::Set(REPORTS, _, word) if matches!(word >> 29, 3..=5))
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(f),
            Self::Withdraw(_) => f.write_str("withdraw"),
            Self::List => f.write_str("list"),
            Self::Save => f.write_str("save"),
            Self::Load => f.write_str("load"),
            Self::Migrate => f.write_str("migrate"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (turn, answer) in &self.turns {
            match answer {
                Some(answer) => writeln!(f, "  {turn}: {answer}")?,
                None => writeln!(f, "  {turn}")?,
            }
        }
        write!(f, "  => {}", self.why)
    }
}
