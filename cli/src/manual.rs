// SPDX-License-Identifier: MIT OR Apache-2.0

//! Manual pages, generated from [`Arguments`].

use crate::{arguments::Arguments, exit_status::ExitStatus, exit_status::STATUSES};
use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use std::{fs, path::Path};

/// Writes the manual pages.
pub fn write(directory: &Path) -> Result<ExitStatus> {
    for (name, page) in pages()? {
        let path = directory.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitStatus::Done)
}

/// Renders the manual pages, by file name.
pub fn pages() -> Result<Vec<(String, String)>> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let main = (format!("{}.1", program.get_name()), page(&program, true)?);
    let others = visible(&program).map(|command| {
        let (program, name) = (program.get_name(), command.get_name());
        let (page_name, line) = (format!("{program}-{name}"), format!("{program} {name}"));
        Ok((format!("{page_name}.1"), page(&command.clone().name(page_name).bin_name(line), false)?))
    });
    [Ok(main)].into_iter().chain(others).collect()
}

fn page(command: &clap::Command, is_main: bool) -> Result<String> {
    let mut page = br#".\" SPDX-License-Identifier: MIT OR Apache-2.0
.\" Generated from the program by `papr-unplug manual`; a test compares it.
"#
    .to_vec();
    Man::new(command.clone()).manual("papr-unplug").date("").render(&mut page)?;
    let mut roff = Roff::new();
    if is_main {
        statuses(&mut roff);
    }
    see_also(&mut roff, command, is_main);
    roff.to_writer(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn statuses(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in STATUSES {
        roff.control("TP", []).text([bold(*status)]).text([roman(*meaning)]);
    }
}

fn see_also(roff: &mut Roff, command: &clap::Command, is_main: bool) {
    let others: Vec<String> = if is_main {
        visible(command).map(|other| format!("papr-unplug-{}(1)", other.get_name())).collect()
    } else {
        vec!["papr-unplug(1), also for the exit status".to_owned()]
    };
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(others.join(", "))]);
}

fn visible(program: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    program.get_subcommands().filter(|command| !command.is_hide_set())
}
