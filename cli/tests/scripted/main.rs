// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the program with a scripted QMP server: all that a VM can send, and what no VM should.

mod completion;
mod connection;
mod list;
mod program;
mod requests;
mod reset;
mod server;
mod several;
mod unplug;
mod wait;
mod watch;
mod withdraw;
