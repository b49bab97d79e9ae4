// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program against a monitor that is played by the test: all that a VM can say, and what none should.

mod connection;
mod list;
mod program;
mod server;
mod unplug;
mod watch;
