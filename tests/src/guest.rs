// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest: its kernel log, its shell, the guest module, kexec, and agents in user space.

pub mod agent;
pub mod console;
pub mod kexec;
pub mod loading;
pub mod marker;
pub mod module;
pub mod shell;
