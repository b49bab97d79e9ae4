// SPDX-License-Identifier: MIT OR Apache-2.0

//! Settings of the user, read once from the environment; `docs/building.md` explains each variable.

use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf, absolute},
};

/// The directory of the cache.
pub(crate) const CACHE: &str = "PAPR_UNPLUG_CACHE";
/// A Debian mirror to use instead of the one in the host's apt sources.
pub(crate) const MIRROR: &str = "PAPR_UNPLUG_MIRROR";
/// A configured and built kernel tree to use instead of building one.
pub(crate) const KERNEL_TREE: &str = "PAPR_UNPLUG_KERNEL_TREE";
/// A `qemu-system-ppc64` to use instead of Debian's.
pub(crate) const QEMU: &str = "PAPR_UNPLUG_QEMU";
/// The firmware directory (`-L`) of that QEMU. By default QEMU itself is asked for it.
pub(crate) const QEMU_DATA: &str = "PAPR_UNPLUG_QEMU_DATA";

/// The settings. Every path is absolute.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The directory of this checkout.
    pub(crate) checkout: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) mirror: Option<String>,
    pub(crate) kernel_tree: Option<PathBuf>,
    pub(crate) qemu: Option<PathBuf>,
    pub(crate) qemu_data: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment of this process.
    pub(crate) fn from_env() -> Result<Self> {
        Self::read(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn read(var: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let path = |name: &str| {
            var(name).map(|value| absolute(&value).with_context(|| format!("{name} is not a usable path"))).transpose()
        };
        let cache = match path(CACHE)? {
            Some(chosen) => chosen,
            // By the XDG base directory specification, a relative path is invalid and ignored.
            None => match (var("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute()), var("HOME")) {
                (Some(xdg), _) => xdg.join("papr-unplug"),
                (None, Some(home)) => Path::new(&home).join(".cache/papr-unplug"),
                (None, None) => bail!("no place for the artifacts: set {CACHE} to a directory with 5 GiB free"),
            },
        };
        let mirror = var(MIRROR).map(|value| value.to_string_lossy().trim_end_matches('/').to_owned());
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent directory")?;
        Ok(Self {
            checkout: checkout.to_path_buf(),
            cache,
            mirror,
            kernel_tree: path(KERNEL_TREE)?,
            qemu: path(QEMU)?,
            qemu_data: path(QEMU_DATA)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    #[test]
    fn cache_without_variables_is_under_home() {
        assert_eq!(read(&[("HOME", "/h")]).unwrap().cache, Path::new("/h/.cache/papr-unplug"));
    }

    #[test]
    fn cache_own_variable_wins_over_xdg() {
        let both = [("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), (CACHE, "/c")];
        assert_eq!(read(&both).unwrap().cache, Path::new("/c"));
        assert_eq!(read(&both[..2]).unwrap().cache, Path::new("/x/papr-unplug"));
    }

    #[test]
    fn cache_without_home_names_the_variable() {
        assert!(read(&[]).unwrap_err().to_string().contains(CACHE));
    }

    #[test]
    fn mirror_loses_its_trailing_slash() {
        let settings = read(&[("HOME", "/h"), (MIRROR, "http://mirror.example/debian/")]).unwrap();
        assert_eq!(settings.mirror.as_deref(), Some("http://mirror.example/debian"));
    }
}
