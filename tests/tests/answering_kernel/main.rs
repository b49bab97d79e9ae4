// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel that answers the hypervisor by itself (`packaging/linux/answer`), without the module: it does what the module does
//! for CPUs and memory. `cargo xtask test --kernel answers` builds it and runs these tests, `--kernel answers-debug` and
//! `--kernel answers-kasan` do so with checkers.

mod answers;
mod debug;
mod fallback;
mod life;
mod migration;
mod module;
#[path = "../hinting_kernel/on_stock_vmm.rs"]
mod on_stock_vmm;
#[path = "../hinting_kernel/other_requests.rs"]
mod other_requests;

use papr_unplug_tests::pairing::Pairing;

/// Guest without the module in the patched VMM.
const ANSWERING: Pairing = Pairing::STOCK_ON_OURS;

/// Classes that our QEMU offers and the kernel arms.
const CLASSES: [&str; 2] = ["cpu", "memory"];

/// Source of an answer that was promised.
const BY_TOKEN: &str = "reported-by-token";
