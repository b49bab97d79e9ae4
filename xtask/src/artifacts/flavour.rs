// SPDX-License-Identifier: MIT OR Apache-2.0

//! Flavours of the kernel that is built here.

use crate::artifacts::build::Build;

/// A flavour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flavour {
    /// Small and quick to boot.
    Default,
    /// Checks locking, RCU, memory and contexts as it runs.
    Debug,
    /// Checks every access to memory, and has no Rust.
    Kasan,
    /// Is preempted wherever it may be (PREEMPT and PREEMPT_DYNAMIC).
    Preempt,
    /// Has no probes, which the module stands on, and also runs on a machine without a hypervisor.
    Bare,
}

impl Flavour {
    /// Returns the name in paths and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Debug => "debug",
            Self::Kasan => "kasan",
            Self::Preempt => "preempt",
            Self::Bare => "bare",
        }
    }

    /// Returns the build of the guest module that Kbuild chooses for it.
    pub(crate) fn build(self) -> Build {
        match self {
            Self::Default | Self::Debug | Self::Preempt | Self::Bare => Build::KernelCrate,
            Self::Kasan => Build::Standalone,
        }
    }

    /// Returns the configuration fragments below `tests/guest`. An option in a later one overrides those before it.
    pub(crate) fn fragments(self) -> &'static [&'static str] {
        match self {
            Self::Default => &["default.config"],
            Self::Debug => &["default.config", "debug.config"],
            Self::Kasan => &["default.config", "kasan.config"],
            Self::Preempt => &["default.config", "preempt.config"],
            Self::Bare => &["default.config", "bare.config"],
        }
    }

    /// Returns the kernel's own modules that tests load, as paths below the build tree.
    pub(crate) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Default | Self::Kasan | Self::Preempt => {
                &["lib/notifier-error-inject.ko", "lib/memory-notifier-error-inject.ko"]
            }
            Self::Debug => &[
                "lib/notifier-error-inject.ko",
                "lib/memory-notifier-error-inject.ko",
                "lib/test_lockup.ko",
                "samples/kmemleak/kmemleak-test.ko",
            ],
            Self::Bare => &[],
        }
    }
}
