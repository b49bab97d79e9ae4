// SPDX-License-Identifier: MIT OR Apache-2.0

//! Flavours of the kernel that is built here.

use crate::artifacts::{build::Build, linux_tree::Series};

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

impl Flavour {
    /// Returns the name in paths and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Debug => "debug",
            Self::Kasan => "kasan",
            Self::Preempt => "preempt",
            Self::Bare => "bare",
            Self::Hints => "hints",
            Self::Answers => "answers",
            Self::AnswersDebug => "answers-debug",
            Self::AnswersKasan => "answers-kasan",
        }
    }

    /// Returns the patches that its source has.
    pub(crate) fn series(self) -> Series {
        match self {
            Self::Default | Self::Debug | Self::Kasan | Self::Preempt | Self::Bare => Series::General,
            Self::Hints => Series::Removal,
            Self::Answers | Self::AnswersDebug | Self::AnswersKasan => Series::Answer,
        }
    }

    /// Returns the build of the guest module that Kbuild chooses for it.
    pub(crate) fn build(self) -> Build {
        match self {
            Self::Kasan | Self::AnswersKasan => Build::Standalone,
            _ => Build::KernelCrate,
        }
    }

    /// Returns whether tests have it start another kernel.
    pub(crate) fn has_kexec(self) -> bool {
        matches!(self, Self::Debug | Self::AnswersDebug)
    }

    /// Returns the configuration fragments below `tests/guest`. An option in a later one overrides those before it.
    pub(crate) fn fragments(self) -> &'static [&'static str] {
        match self {
            Self::Default | Self::Hints | Self::Answers => &["default.config"],
            Self::Debug | Self::AnswersDebug => &["default.config", "debug.config"],
            Self::Kasan | Self::AnswersKasan => &["default.config", "kasan.config"],
            Self::Preempt => &["default.config", "preempt.config"],
            Self::Bare => &["default.config", "bare.config"],
        }
    }

    /// Returns the kernel's own modules that tests load, as paths below the build tree.
    pub(crate) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Default | Self::Kasan | Self::Preempt | Self::Hints | Self::Answers | Self::AnswersKasan => {
                &["lib/notifier-error-inject.ko", "lib/memory-notifier-error-inject.ko"]
            }
            Self::Debug | Self::AnswersDebug => &[
                "lib/notifier-error-inject.ko",
                "lib/memory-notifier-error-inject.ko",
                "lib/test_lockup.ko",
                "samples/kmemleak/kmemleak-test.ko",
            ],
            Self::Bare => &[],
        }
    }
}
