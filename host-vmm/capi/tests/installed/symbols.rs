// SPDX-License-Identifier: MIT OR Apache-2.0

//! Symbols of the shared library, which programs find for as long as its name stays.

use crate::prefix::{Prefix, run, tool};
use std::collections::BTreeSet;

/// Exported functions, with their versions. A program that was linked against one of them finds it as long as the
/// library is called [`SONAME`].
const EXPORTED: &[&str] = &[
    "papr_unplug_add@@PAPR_UNPLUG_0.1",
    "papr_unplug_armed@@PAPR_UNPLUG_0.1",
    "papr_unplug_attach@@PAPR_UNPLUG_0.1",
    "papr_unplug_cas@@PAPR_UNPLUG_0.1",
    "papr_unplug_configure@@PAPR_UNPLUG_0.1",
    "papr_unplug_configured@@PAPR_UNPLUG_0.1",
    "papr_unplug_detach@@PAPR_UNPLUG_0.1",
    "papr_unplug_error@@PAPR_UNPLUG_0.1",
    "papr_unplug_explain@@PAPR_UNPLUG_0.1",
    "papr_unplug_free@@PAPR_UNPLUG_0.1",
    "papr_unplug_get_sensor_state@@PAPR_UNPLUG_0.1",
    "papr_unplug_has_effect@@PAPR_UNPLUG_0.1",
    "papr_unplug_has_more@@PAPR_UNPLUG_0.1",
    "papr_unplug_import@@PAPR_UNPLUG_0.1",
    "papr_unplug_load_begin@@PAPR_UNPLUG_0.1",
    "papr_unplug_load_end@@PAPR_UNPLUG_0.1",
    "papr_unplug_max_save@@PAPR_UNPLUG_0.1",
    "papr_unplug_new@@PAPR_UNPLUG_0.1",
    "papr_unplug_next_effect@@PAPR_UNPLUG_0.1",
    "papr_unplug_offer_property@@PAPR_UNPLUG_0.1",
    "papr_unplug_open_requests@@PAPR_UNPLUG_0.1",
    "papr_unplug_outcomes@@PAPR_UNPLUG_0.1",
    "papr_unplug_pending@@PAPR_UNPLUG_0.1",
    "papr_unplug_reason_advice@@PAPR_UNPLUG_0.1",
    "papr_unplug_reason_meaning@@PAPR_UNPLUG_0.1",
    "papr_unplug_reason_name@@PAPR_UNPLUG_0.1",
    "papr_unplug_reason_persistence@@PAPR_UNPLUG_0.1",
    "papr_unplug_remove@@PAPR_UNPLUG_0.1",
    "papr_unplug_renumbered@@PAPR_UNPLUG_0.1",
    "papr_unplug_request@@PAPR_UNPLUG_0.1",
    "papr_unplug_request_together@@PAPR_UNPLUG_0.1",
    "papr_unplug_reset@@PAPR_UNPLUG_0.1",
    "papr_unplug_restore@@PAPR_UNPLUG_0.1",
    "papr_unplug_save@@PAPR_UNPLUG_0.1",
    "papr_unplug_set_indicator@@PAPR_UNPLUG_0.1",
    "papr_unplug_set_offer@@PAPR_UNPLUG_0.1",
    "papr_unplug_state@@PAPR_UNPLUG_0.1",
    "papr_unplug_version@@PAPR_UNPLUG_0.1",
    "papr_unplug_withdraw@@PAPR_UNPLUG_0.1",
    "papr_unplug_withhold@@PAPR_UNPLUG_0.1",
];

const SONAME: &str = "libpapr_unplug.so.0";

/// Libraries of the system that the library needs, except the loader, whose name depends on the architecture.
const NEEDED: [&str; 2] = ["libc.so.6", "libgcc_s.so.1"];

fn readelf(prefix: &Prefix, what: &str) -> String {
    run(tool("readelf", "binutils").args(["--wide", what]).arg(prefix.path("lib/libpapr_unplug.so")))
}

#[test]
fn library_exports_these_functions_with_their_versions_and_nothing_else() {
    let symbols = readelf(&Prefix::install(), "--dyn-syms");
    // Num, Value, Size, Type, Bind, Vis, Ndx, Name; the versions themselves are symbols, too.
    let rows = symbols.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let defined = rows.filter(|row| row.len() == 8 && !["UND", "ABS", "Ndx"].contains(&row[6]));
    let names: BTreeSet<String> = defined.map(|row| row[7].to_owned()).collect();
    assert_eq!(names.iter().collect::<Vec<_>>(), EXPORTED.iter().collect::<Vec<_>>());
}

#[test]
fn header_declares_what_the_library_exports() {
    let header = include_str!("../../include/papr_unplug.h");
    let lines = header.lines().filter(|line| !line.starts_with(" *"));
    let declared = lines.filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        before.rsplit([' ', '*']).next().filter(|name| name.starts_with("papr_unplug_"))
    });
    let exported = EXPORTED.iter().filter_map(|symbol| symbol.split_once("@@")).map(|(name, _)| name);
    assert_eq!(declared.collect::<BTreeSet<_>>(), exported.collect::<BTreeSet<_>>());
}

#[test]
fn library_has_its_soname_and_needs_only_the_system() {
    let dynamic = readelf(&Prefix::install(), "--dynamic");
    let values = |tag: &str| {
        let lines = dynamic.lines().filter(|line| line.contains(tag));
        let names = lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()));
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(values("(SONAME)"), BTreeSet::from([SONAME.to_owned()]));
    let mut needed = values("(NEEDED)");
    needed.retain(|name| !name.starts_with("ld"));
    assert_eq!(needed, NEEDED.map(str::to_owned).into());
}
