// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel configuration fragments, and the check that a configuration has what they ask for.

use std::collections::BTreeMap;

/// Returns the options that fragments ask for, by name; "is not set" is `n`. A later fragment overrides earlier ones.
pub(crate) fn wanted<'a>(fragments: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, &'a str> {
    fragments.into_iter().flat_map(str::lines).filter_map(option).collect()
}

/// Returns a sentence for each option that `config` does not have as wanted.
pub(crate) fn unmet(wanted: &BTreeMap<&str, &str>, config: &str) -> Vec<String> {
    let found: BTreeMap<&str, &str> = config.lines().filter_map(option).collect();
    let mut sentences = Vec::new();
    for (name, value) in wanted {
        let is = found.get(name).copied().unwrap_or("n");
        if is != *value {
            sentences.push(format!("{name}={value} was asked for, and it is {is}"));
        }
    }
    sentences
}

fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set")) {
        return Some((name, "n"));
    }
    line.strip_prefix("CONFIG_").is_some().then(|| line.split_once('='))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_later_fragment_wins() {
        let options = wanted(["# a comment\nCONFIG_A=y\nCONFIG_B=\"x\"\n", "# CONFIG_A is not set\n"]);
        assert_eq!(options, BTreeMap::from([("CONFIG_A", "n"), ("CONFIG_B", "\"x\"")]));
    }

    #[test]
    fn unmet_names_what_kconfig_dropped_and_takes_absence_for_not_set() {
        let options = wanted(["CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=n\n# CONFIG_D is not set\n"]);
        let unmet = unmet(&options, "CONFIG_A=y\nCONFIG_C=y\n");
        assert_eq!(unmet, ["CONFIG_B=m was asked for, and it is n", "CONFIG_C=n was asked for, and it is y"]);
    }
}
