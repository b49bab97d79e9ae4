// SPDX-License-Identifier: MIT OR Apache-2.0

//! The unplug conversation as two small state machines, explored exhaustively.
//!
//! A [`world`] is a user, a VMM ([`vmm`]) and a [`guest`] with two devices ([`machine`]): a CPU core, and a DIMM of two
//! LMBs; or with a PCI function, which an agent in the guest's [`user_space`] removes. Everything that can happen is one [`action::Action`]. [`explore`] tries all of them in every order, breadth
//! first, and [`property`] says which [`violation`] must never be seen, so that the first counterexample is also a
//! shortest one.
//!
//! Two VMMs come with the model: [`mod@reference`] does what `spec/vmm-conformance.md` asks, and [`stock`] follows the
//! rules of stock QEMU; the checks can fail, because they find the known defects of the latter. Any other
//! implementation plugs in through [`vmm::Vmm`], as the host crate does in its tests; [`conversation`] runs the vectors
//! against it. [`mutant`] breaks one rule at a time.

#![forbid(unsafe_code)]

pub mod machine;

pub mod vmm;

pub mod lopar;
pub mod reference;
pub mod stock;

pub mod conversation;

pub mod guest;
pub mod user_space;

pub mod action;
pub mod violation;
pub mod world;

pub mod property;

pub mod explore;
pub mod mutant;
