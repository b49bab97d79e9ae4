// SPDX-License-Identifier: MIT OR Apache-2.0

//! libvirt for a client that watches one domain: a [`connection`], its [`domain`], and the [`event`]s of both.
//!
//! libvirt's shared libraries are loaded when a connection is opened, so that a program that can also do without
//! libvirt starts on a machine that has none (`docs/adr/0078-libvirt-is-loaded-at-run-time.md`). Their interface does
//! not change: it has had the same soname since 2005, and symbols are versioned.

// UNSAFETY: the functions are C's. Each call's contract is the comment on the function in libvirt's headers.
#![expect(unsafe_code, reason = "libvirt's client library is C")]

mod event_loop;
mod library;

pub mod connection;
pub mod domain;
pub mod error;
pub mod event;
