// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a guest and its VMM do when the host asks for a device. Each test boots its own VM.

mod allocation;
mod armed;
mod baseline;
mod by_work;
mod errands;
mod faces;
mod fallback;
mod harness;
mod levels;
mod life;
mod lifecycle;
mod loading;
mod migration;
mod our_vmm;
mod reading;
mod refusals;
