// SPDX-License-Identifier: GPL-2.0-only

//! What can be read under `/sys/kernel/debug/papr_unplug`.

use crate::{logic::watch::Watch, sentry::Sentry};
use kernel::{
    debugfs::{Scope, Writer},
    fmt,
    prelude::*,
    sync::Arc,
};

/// The directory, there for as long as this lives.
pub(crate) type Files = Pin<KBox<Scope<Sources>>>;

/// What the files show.
pub(crate) struct Sources {
    counters: Counters,
    refusals: Refusals,
    probes: Probes,
}

/// Makes the directory.
pub(crate) fn create(watch: &'static Watch, sentry: &Arc<Sentry>) -> Result<Files> {
    let sources = Sources {
        counters: Counters(watch),
        refusals: Refusals(watch),
        probes: Probes(sentry.clone()),
    };
    KBox::pin_init(
        Scope::dir(Ok::<_, Error>(sources), c"papr_unplug", |sources: &Sources, dir| {
            dir.read_only_file(c"counters", &sources.counters);
            dir.read_only_file(c"refusals", &sources.refusals);
            dir.read_only_file(c"probes", &sources.probes);
        }),
        GFP_KERNEL,
    )
}

/// One line for each counter: its name, a blank, its value.
struct Counters(&'static Watch);

impl Writer for Counters {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(&self.0.counters, f)
    }
}

/// One line for each of the last refusals, oldest first: `name=value` members, `seq` the first of them.
struct Refusals(&'static Watch);

impl Writer for Refusals {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let journal = &self.0.journal;
        for number in journal.oldest()..=journal.newest() {
            if let Some(refusal) = journal.get(number) {
                f.write_fmt(format_args!("seq={number} "))?;
                refusal.write_members(f)?;
                f.write_char('\n')?;
            }
        }
        Ok(())
    }
}

/// One line for each probe: the function, then `active missed=N` or `absent`.
struct Probes(Arc<Sentry>);

impl Writer for Probes {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}
