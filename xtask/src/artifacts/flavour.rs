// SPDX-License-Identifier: MIT OR Apache-2.0

//! Flavours of the kernel that is built here, and builds of the guest module.

use crate::artifacts::linux_tree::Series;

/// A way to build the module's Rust, see `docs/adr/0050-one-source-two-builds.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// By the kernel's build, on the kernel crate.
    KernelCrate,
    /// Beforehand, as an object that any kernel's own compiler links: for kernels without `CONFIG_RUST`.
    Standalone,
}

impl Build {
    /// Returns the name, which Kbuild takes and `modinfo` prints.
    pub(crate) fn name(self) -> &'static str {
        if self == Self::KernelCrate { "kernel-crate" } else { "standalone" }
    }
}

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
    /// Hints at every refusal by itself.
    Hints,
    /// Answers the hypervisor by itself.
    Answers,
    /// Answers, and checks itself as [`Self::Debug`] does.
    AnswersDebug,
    /// Answers, and checks itself as [`Self::Kasan`] does.
    AnswersKasan,
}

const INJECTORS: &[&str] = &["lib/notifier-error-inject.ko", "lib/memory-notifier-error-inject.ko"];
const DEBUG_MODULES: &[&str] = &[INJECTORS[0], INJECTORS[1], "lib/test_lockup.ko", "samples/kmemleak/kmemleak-test.ko"];

impl Flavour {
    /// Returns the name in paths and messages, the patches that the source has, and the configuration fragments.
    fn row(self) -> (&'static str, Series, &'static [&'static str]) {
        match self {
            Self::Default => ("default", Series::General, &["default.config"]),
            Self::Debug => ("debug", Series::General, &["default.config", "debug.config"]),
            Self::Kasan => ("kasan", Series::General, &["default.config", "kasan.config"]),
            Self::Preempt => ("preempt", Series::General, &["default.config", "preempt.config"]),
            Self::Bare => ("bare", Series::General, &["default.config", "bare.config"]),
            Self::Hints => ("hints", Series::Removal, &["default.config"]),
            Self::Answers => ("answers", Series::Answer, &["default.config"]),
            Self::AnswersDebug => ("answers-debug", Series::Answer, &["default.config", "debug.config"]),
            Self::AnswersKasan => ("answers-kasan", Series::Answer, &["default.config", "kasan.config"]),
        }
    }

    /// Returns the name in paths and messages.
    pub(crate) fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the patches that its source has.
    pub(crate) fn series(self) -> Series {
        self.row().1
    }

    /// Returns the configuration fragments below `tests/guest`. An option in a later one overrides those before it.
    pub(crate) fn fragments(self) -> &'static [&'static str] {
        self.row().2
    }

    /// Returns the build of the guest module that Kbuild chooses for it.
    pub(crate) fn build(self) -> Build {
        if self.fragments().contains(&"kasan.config") { Build::Standalone } else { Build::KernelCrate }
    }

    /// Returns whether tests have it start another kernel.
    pub(crate) fn has_kexec(self) -> bool {
        self.fragments().contains(&"debug.config")
    }

    /// Returns the kernel's own modules that tests load, as paths below the build tree.
    pub(crate) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Debug | Self::AnswersDebug => DEBUG_MODULES,
            Self::Bare => &[],
            _ => INJECTORS,
        }
    }
}
