// SPDX-License-Identifier: MIT OR Apache-2.0

//! Advice for known failures, found by what the failed command printed.

use crate::settings::MIRROR;

/// The advice when the disk is full. The store, which knows the directory, adds to it.
pub(crate) const FULL_DISK: &str = "the disk is full";

/// Returns the advice for the first known failure of which `log` has a sign.
pub(crate) fn fix(log: &str) -> Option<String> {
    KNOWN.iter().find(|known| known.signs.iter().any(|sign| log.contains(sign))).map(|known| (known.advice)())
}

/// Returns whether `log` says that the network cannot be reached, so that a retry is of no use.
pub(crate) fn is_offline(log: &str) -> bool {
    UNREACHABLE.iter().any(|sign| log.contains(sign))
}

struct Known {
    signs: &'static [&'static str],
    advice: fn() -> String,
}

const UNREACHABLE: &[&str] = &[
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect to",
    "Unable to connect to",
    "Network is unreachable",
    "Connection refused",
];

const KNOWN: &[Known] = &[
    Known { signs: &["No space left on device", "Disk quota exceeded"], advice: || FULL_DISK.to_owned() },
    Known {
        signs: &["NO_PUBKEY", "Missing key", "public key is not available"],
        advice: || {
            "this machine does not know the key that signs the Debian archive: `apt-get install --only-upgrade \
             debian-archive-keyring`"
                .to_owned()
        },
    },
    Known {
        signs: &["No permissions to create new namespace", "setting up uid map", "Creating new namespace failed"],
        advice: || {
            "unprivileged user namespaces are switched off: `sysctl -w kernel.unprivileged_userns_clone=1 \
             user.max_user_namespaces=15000` as root (and, where AppArmor restricts them, \
             `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`)"
                .to_owned()
        },
    },
    Known {
        signs: &["Can't mount proc on"],
        advice: || {
            "this is a container whose /proc is masked, and a sandbox inside cannot have one of its own then: start the \
             container with `--security-opt systempaths=unconfined` (Docker) or `--security-opt unmask=ALL` (Podman)"
                .to_owned()
        },
    },
    Known {
        signs: UNREACHABLE,
        advice: || {
            format!(
                "the Debian mirror cannot be reached: check the network, or set {MIRROR} to the address of a mirror \
                 that can be (what is in the cache already works without network)"
            )
        },
    },
    Known {
        signs: &["Hash Sum mismatch", "File has unexpected size", "404  Not Found", "Failed to fetch"],
        advice: || {
            format!(
                "the Debian mirror did not deliver; it may be in the middle of an update: run this again in some \
                 minutes, or set {MIRROR} to the address of another mirror"
            )
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fix_of_no_network_names_the_mirror_variable() {
        let log = "Err:1 http://mirror.invalid/debian forky InRelease\n  Temporary failure resolving 'mirror.invalid'\n\
                   E: Failed to fetch http://mirror.invalid/debian/dists/forky/InRelease";
        assert!(fix(log).unwrap().contains("set PAPR_UNPLUG_MIRROR to the address of a mirror"));
        assert!(is_offline(log));
    }

    #[test]
    fn fix_of_a_mirror_in_mid_update_is_to_try_again() {
        let log = "E: Failed to fetch .../Packages.xz  File has unexpected size (10 != 11). Mirror sync in progress?";
        assert!(fix(log).unwrap().contains("in the middle of an update"));
        assert!(!is_offline(log));
    }

    #[test]
    fn fix_of_a_full_disk_wins_over_what_it_causes() {
        let log = "E: Failed to fetch x  Write error - write (28: No space left on device)";
        assert_eq!(fix(log).as_deref(), Some(FULL_DISK));
    }

    #[test]
    fn fix_of_a_container_without_a_proc_of_its_own_names_the_options() {
        let log = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted";
        assert!(fix(log).unwrap().contains("--security-opt"));
    }

    #[test]
    fn fix_of_anything_else_is_none() {
        assert_eq!(fix("kernel/foo.c:1: error: expected ';'"), None);
    }
}
