// SPDX-License-Identifier: MIT OR Apache-2.0

//! Advice for known failures, found by what the failed command printed.

/// The advice when the disk is full. The store, which knows the directory, adds to it.
pub(crate) const FULL_DISK: &str = "the disk is full";

/// Returns the advice for the first known failure of which `log` has a sign.
pub(crate) fn fix(log: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(signs, _)| signs.iter().any(|sign| log.contains(sign))).map(|(_, advice)| *advice)
}

/// Returns whether `log` says that the network cannot be reached, so that a retry is of no use.
pub(crate) fn is_offline(log: &str) -> bool {
    UNREACHABLE.iter().any(|sign| log.contains(sign))
}

const UNREACHABLE: &[&str] = &[
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect to",
    "Unable to connect to",
    "Network is unreachable",
    "Connection refused",
];

/// Signs of failures, and what can be done.
const KNOWN: [(&[&str], &str); 6] = [
    (&["No space left on device", "Disk quota exceeded"], FULL_DISK),
    (
        &["NO_PUBKEY", "Missing key", "public key is not available"],
        "this machine does not know the key that signs the Debian archive: `apt-get install --only-upgrade \
         debian-archive-keyring`",
    ),
    (
        &["No permissions to create new namespace", "setting up uid map", "Creating new namespace failed"],
        "unprivileged user namespaces are switched off: `sysctl -w kernel.unprivileged_userns_clone=1 \
         user.max_user_namespaces=15000` as root (and, where AppArmor restricts them, \
         `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`)",
    ),
    (
        &["Can't mount proc on"],
        "this is a container whose /proc is masked, and a sandbox inside cannot have one of its own then: start the \
         container with `--security-opt systempaths=unconfined` (Docker) or `--security-opt unmask=ALL` (Podman)",
    ),
    (
        UNREACHABLE,
        "the Debian mirror cannot be reached: check the network, or set PAPR_UNPLUG_MIRROR to the address of a mirror \
         that can be (what is in the cache already works without network)",
    ),
    (
        &["Hash Sum mismatch", "File has unexpected size", "404  Not Found", "Failed to fetch"],
        "the Debian mirror did not deliver; it may be in the middle of an update: run this again in some minutes, or set \
         PAPR_UNPLUG_MIRROR to the address of another mirror",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MIRROR;

    #[test]
    fn fix_is_that_of_the_cause() {
        let failed = "E: Failed to fetch http://mirror.invalid/debian/dists/forky/InRelease";
        let log = format!("Temporary failure resolving 'mirror.invalid'\n{failed}");
        assert!(fix(&log).unwrap().contains(&format!("cannot be reached: check the network, or set {MIRROR} to")));
        assert!(is_offline(&log) && !is_offline(failed));
        let log = format!("{failed}  File has unexpected size (10 != 11). Mirror sync in progress?");
        assert!(fix(&log).unwrap().contains("in the middle of an update"));
        assert_eq!(fix(&format!("{failed}  Write error - write (28: No space left on device)")), Some(FULL_DISK));
        assert_eq!(fix("kernel/foo.c:1: error: expected ';'"), None);
    }
}
