// SPDX-License-Identifier: MIT OR Apache-2.0

//! Busybox, nearly the only program of guests.

use crate::{
    cache::{Made, Recipe, Work},
    roots::fetch_tree,
};
use anyhow::{Context, Result};
use std::fs;

const SUITE: &str = "forky";
const PACKAGE: &str = "busybox-static";
const ARCH: &str = "ppc64el";

/// Debian's busybox for ppc64el, linked statically.
pub(crate) fn busybox() -> Recipe {
    let recipe = Recipe::new("busybox", "busybox", make).file("busybox");
    recipe.text("suite", SUITE).text("package", PACKAGE).text("arch", ARCH)
}

fn make(work: &Work<'_>) -> Result<Made> {
    let fetched = fetch_tree(work, SUITE, ARCH, &[PACKAGE], "tree")?;
    let program = ["usr/bin/busybox", "bin/busybox"].map(|path| work.path("tree").join(path));
    let program = program.iter().find(|path| path.exists()).context("the busybox package has no busybox in it")?;
    fs::rename(program, work.path("busybox"))?;
    Ok(Made::default().fact(PACKAGE, &fetched[0]))
}
