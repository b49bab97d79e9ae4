// SPDX-License-Identifier: MIT OR Apache-2.0

//! The unplug conversation as two small state machines, explored exhaustively.
//!
//! A [`world`] is a user, a VMM ([`vmm`]) and a [`guest`] with two devices ([`machine`]): a CPU core, and a DIMM of two
//! LMBs. Everything that can happen is one [`action::Action`]; [`explore`] tries all of them in every order, breadth
//! first, and [`property`] says what must never be seen, so that the first counterexample is also a shortest one.
//!
//! Two VMMs come with the model: [`mod@reference`], which does what `spec/vmm-conformance.md` asks, and [`stock`], which
//! follows the rules of QEMU as it is; that the checks find the known defects of the latter is the evidence that they
//! can fail. The [`host`] crate plugs in through [`vmm::Vmm`], as any other implementation can, and [`conversation`] runs the vectors against it.
//! [`mutant`] breaks one rule at a time.

#![forbid(unsafe_code)]

pub mod machine;

pub mod vmm;

pub mod host;
pub mod reference;
pub mod stock;

pub mod conversation;

pub mod guest;

pub mod action;
pub mod world;

pub mod property;

pub mod explore;
pub mod mutant;
