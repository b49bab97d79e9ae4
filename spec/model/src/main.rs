// SPDX-License-Identifier: MIT OR Apache-2.0

//! Program that explores the model and prints the findings.

#![forbid(unsafe_code)]

use clap::Parser;
use papr_unplug_model::{
    action::Budget,
    explore::{Findings, Until, explore, tell},
    mutant::{self, Mutant},
    property,
    reference::Reference,
    stock::Stock,
    vmm::Vmm,
    world::World,
};
use std::{process::ExitCode, time::Instant};

/// Explore every order of events between a user, a VMM and a guest, and check the promises of the protocol.
#[derive(Parser)]
struct Arguments {
    /// Explore the rules of stock QEMU and stock Linux instead, and print their defects.
    #[arg(long)]
    stock: bool,
    /// Break one rule at a time, and check that each is caught.
    #[arg(long)]
    mutants: bool,
    /// Stop after this number of steps (the default sees everything).
    #[arg(long, default_value_t = usize::MAX)]
    depth: usize,
    /// The number of device_del.
    #[arg(long, default_value_t = Budget::FULL.requests)]
    requests: u8,
    /// The number of disturbances (reset, migration, unloading, ...).
    #[arg(long, default_value_t = Budget::FULL.disturbances)]
    disturbances: u8,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let budget = Budget { requests: arguments.requests, disturbances: arguments.disturbances, ..Budget::FULL };
    let clean = if arguments.stock {
        stock(budget, arguments.depth)
    } else if arguments.mutants {
        mutants(budget, arguments.depth)
    } else {
        protocol(Reference::explored(Mutant::None), budget, arguments.depth)
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns whether the protocol keeps every promise.
fn protocol(vmm: impl Vmm, budget: Budget, depth: usize) -> bool {
    println!("Properties:");
    for (property, meaning, clauses) in property::ALL {
        println!("  {:<12} {meaning} ({})", format!("{property:?}"), clauses.join(", "));
    }
    let world = |armed| World::new(vmm.clone(), armed, Mutant::None, budget);
    let armed = run("the module is armed from the start", &world(true), depth, Until::Exhausted);
    let absent = run("a stock guest, until the module is loaded", &world(false), depth, Until::Exhausted);
    let user_space =
        |armed| World::of_user_space(Reference::explored_in_user_space(Mutant::None), armed, Mutant::None, budget);
    let handed = run("the module is armed, user space removes", &user_space(true), depth, Until::Exhausted);
    let later = run("user space removes, until the module is loaded", &user_space(false), depth, Until::Exhausted);
    [armed, absent, handed, later].iter().all(|findings| findings.violations.is_empty())
}

/// Returns whether the known defects of the stock rules are found.
fn stock(budget: Budget, depth: usize) -> bool {
    let world = World::new(Stock::new(), false, Mutant::None, budget.for_stock());
    let findings = run("stock QEMU, stock Linux", &world, depth, Until::Exhausted);
    property::STOCK_DEFECTS.iter().fold(true, |all, (defect, violation)| {
        let found = findings.violations.iter().any(|(found, _)| found == violation);
        println!("{} {defect}", if found { "found  " } else { "MISSING" });
        all && found
    })
}

/// Returns whether every mutant is caught.
fn mutants(budget: Budget, depth: usize) -> bool {
    let in_kernel = |mutant, armed| World::new(Reference::explored(mutant), armed, mutant, budget);
    let in_user_space =
        |mutant, armed| World::of_user_space(Reference::explored_in_user_space(mutant), armed, mutant, budget);
    let all_in_kernel = are_caught(mutant::ALL, in_kernel, depth);
    are_caught(mutant::OF_USER_SPACE, in_user_space, depth) && all_in_kernel
}

fn are_caught<V: Vmm>(mutants: &[(Mutant, &str)], world: impl Fn(Mutant, bool) -> World<V>, depth: usize) -> bool {
    mutants.iter().fold(true, |all, (mutant, meaning)| {
        let caught = [true, false].into_iter().find_map(|armed| {
            let world = world(*mutant, armed);
            explore(world, depth, Until::FirstViolation).violations.into_iter().next()
        });
        match &caught {
            Some((violation, path)) => println!("caught   {meaning}\n           {violation} ({} steps)", path.len()),
            None => println!("SURVIVED {meaning}"),
        }
        all && caught.is_some()
    })
}

fn run<V: Vmm>(name: &str, world: &World<V>, depth: usize, until: Until) -> Findings {
    let begun = Instant::now();
    let findings = explore(world.clone(), depth, until);
    println!("\n{name}: {findings}, {:.1} s", begun.elapsed().as_secs_f64());
    for (violation, path) in &findings.violations {
        println!("\n{violation}");
        for line in tell(world, path) {
            println!("{line}");
        }
    }
    println!();
    findings
}
