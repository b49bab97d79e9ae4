// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest: its kernel log, its shell, the guest module, and kexec.

pub mod console;
pub mod kexec;
pub mod loading;
pub mod marker;
pub mod module;
pub mod shell;
