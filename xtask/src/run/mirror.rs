// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian mirror to fetch from: the user's choice, or the one in this machine's apt sources.

use crate::{
    run::log::output_of,
    settings::{MIRROR, Settings},
};
use anyhow::{Context, Result};
use std::{fs, process::Command};

/// Returns the address of a mirror of the main Debian archive, without a trailing slash.
pub(crate) fn address(settings: &Settings) -> Result<String> {
    if let Some(mirror) = &settings.mirror {
        return Ok(mirror.clone());
    }
    let uris = output_of(Command::new("apt-get").args(["--print-uris", "update"]))?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    pick(&uris, codename(&release)).map(str::to_owned).with_context(|| {
        format!("this machine's apt sources name no mirror of the Debian archive: set {MIRROR} to the address of one")
    })
}

/// Returns the suite that a Debian machine follows, from its `os-release`.
fn codename(os_release: &str) -> &str {
    os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("sid").trim_matches('"')
}

/// Finds the mirror of the main archive in the output of `apt-get --print-uris update`, whose lines are
/// `'<address>/dists/<suite>/InRelease' name 0`.
fn pick<'a>(uris: &'a str, codename: &str) -> Option<&'a str> {
    let releases: Vec<(&str, &str)> = uris
        .lines()
        .filter_map(|line| line.strip_prefix('\'')?.split_once("/InRelease'")?.0.rsplit_once("/dists/"))
        .collect();
    let has = |address: &str, suite: &str| releases.contains(&(address, suite));
    let suites = [codename, "stable", "testing", "unstable", "sid", "forky"];
    let candidates: Vec<&str> =
        releases.iter().filter(|(_, suite)| suites.contains(suite)).map(|(address, _)| *address).collect();
    // Vendors' archives use Debian's suite names, but have neither an updates suite nor this path.
    let updates = format!("{codename}-updates");
    let certain = candidates.iter().find(|address| has(address, &updates));
    certain.or_else(|| candidates.iter().find(|address| address.ends_with("/debian"))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pick_is_the_main_archive_and_neither_security_nor_a_vendor() {
        let uris = "'http://mirror.example/debian-security/dists/bookworm-security/InRelease' a 0 \n\
                    'https://vendor.example/linux/dists/bookworm/InRelease' a 0\n\
                    'http://mirror.example/pub/deb/dists/bookworm/InRelease' b 0 \n\
                    'http://mirror.example/pub/deb/dists/bookworm-updates/InRelease' c 0 \n\
                    'http://mirror.example/pub/deb/dists/bookworm/main/binary-amd64/Packages.xz' d 0 \n";
        assert_eq!(pick(uris, "bookworm"), Some("http://mirror.example/pub/deb"));
        // On sid there is only the path.
        let uris = "'http://mirror.example/debian/dists/sid/InRelease' a 0\n";
        assert_eq!(pick(uris, "trixie"), Some("http://mirror.example/debian"));
        assert_eq!(pick("'http://mirror.example/ubuntu/dists/noble/InRelease' a 0\n", "noble"), None);
    }

    #[test]
    fn codename_is_read_from_os_release() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n"), "bookworm");
        assert_eq!(codename("ID=debian\n"), "sid");
    }
}
