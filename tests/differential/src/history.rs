// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long random histories with a load in the middle, and an account of every request in them.
//!
//! The account knows nothing of how requests are decided. It holds that each accepted `device_del` makes one request,
//! that the request is listed until it ends, that it ends once and with its own device, and that no number is given
//! twice.

use crate::{
    account::Account,
    answer::{Answer, Response},
    keeper::Keeper,
    sequence::of_reporting_seed,
    step::Step,
    turn::{LAST_TOKEN, Turn},
};
use anyhow::Result;
use papr_unplug_tests::dice::Dice;
use std::fmt;

/// The load in the middle of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Middle {
    /// Neither a load nor a migration.
    Nothing,
    /// The state of a third of the history is loaded after two thirds, or later if devices were added meanwhile.
    Load,
    /// The machine migrates.
    Migration,
}

/// A history that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    turns: Vec<(Turn, Option<Answer>)>,
    why: String,
}

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
                let refused = Step::refused(device.first(), dice.below(30) as u8, 16, LAST_TOKEN);
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
