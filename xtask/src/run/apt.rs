// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host's apt with a state directory of its own: it resolves, fetches and verifies, and changes nothing on the
//! host.

use crate::{
    run::{
        diagnosis,
        log::{Log, killed_with_parent, output_of},
        machine, mirror,
    },
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::Duration,
};

/// Pauses before the second and third attempt to fetch: a mirror in the middle of an update lacks files for a while.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];

/// An apt that knows only some suites of the Debian archive, and believes that nothing is installed.
#[derive(Debug)]
pub(crate) struct Apt(PathBuf);

impl Apt {
    /// Sets apt up in `dir` for `(suite, architecture)` pairs, and fetches their package lists. The first architecture is
    /// the one that apt takes for the machine's own.
    pub(crate) fn new(settings: &Settings, log: &Log, dir: PathBuf, sources: &[(&str, &str)]) -> Result<Self> {
        Self::set_up(settings, log, dir, "deb", sources)
    }

    /// Sets apt up in `dir` for source packages, and fetches the source lists of `suites`.
    pub(crate) fn for_sources(settings: &Settings, log: &Log, dir: PathBuf, suites: &[&str]) -> Result<Self> {
        let native = machine::arch()?.debian;
        let sources: Vec<(&str, &str)> = suites.iter().map(|suite| (*suite, native)).collect();
        Self::set_up(settings, log, dir, "deb-src", &sources)
    }

    fn set_up(settings: &Settings, log: &Log, dir: PathBuf, kind: &str, sources: &[(&str, &str)]) -> Result<Self> {
        for sub in ["etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let apt = Self(dir);
        let mirror = mirror::address(settings)?;
        let keyring = machine::keyring()?;
        let lines = sources
            .iter()
            .map(|(suite, arch)| format!("{kind} [arch={arch} signed-by={keyring}] {mirror} {suite} main\n"));
        fs::write(apt.0.join("sources.list"), lines.collect::<String>())?;
        fs::write(apt.0.join("status"), "")?;
        fs::write(apt.0.join("apt.conf"), apt.configuration(sources)?)?;
        log.note(&format!("the Debian mirror is {mirror}"))?;
        apt.fetch(log, "package lists", || {
            let mut command = apt.command(killed_with_parent("apt-get"));
            command.args(["update", "--error-on=any"]);
            command
        })?;
        Ok(apt)
    }

    /// Fetches `packages` and their dependencies, and returns the files in the order of their names.
    pub(crate) fn fetch_closure(&self, log: &Log, packages: &[&str]) -> Result<Vec<PathBuf>> {
        self.fetch(log, "fetching packages", || {
            let mut command = self.command(killed_with_parent("apt-get"));
            command.args(["install", "--yes", "--download-only"]).args(packages);
            command
        })?;
        let mut debs = Vec::new();
        for entry in fs::read_dir(self.0.join("archives"))? {
            debs.push(entry?.path());
        }
        debs.retain(|path| path.extension() == Some("deb".as_ref()));
        debs.sort();
        Ok(debs)
    }

    /// Fetches packages, each named `name=version` or `name:arch`, into `into`, without their dependencies.
    pub(crate) fn fetch_only(&self, log: &Log, packages: &[String], into: &Path) -> Result<()> {
        self.fetch(log, "fetching packages", || {
            let mut command = self.command(killed_with_parent("apt-get"));
            command.arg("download").args(packages).current_dir(into);
            command
        })
    }

    /// Returns the `(name, version)` pairs of packages whose name matches `pattern`, the newest version of each first.
    pub(crate) fn versions(&self, pattern: &str) -> Result<Vec<(String, String)>> {
        let names = output_of(self.command(Command::new("apt-cache")).args(["--names-only", "search", pattern]))?;
        let names: Vec<&str> = names.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(madison(&output_of(self.command(Command::new("apt-cache")).arg("madison").args(names))?))
    }

    /// Returns the versions of a source package, the newest first.
    pub(crate) fn source_versions(&self, package: &str) -> Result<Vec<String>> {
        let mut rows = madison(&output_of(self.command(Command::new("apt-cache")).args(["madison", package]))?);
        rows.retain(|(name, _)| name == package);
        let mut versions: Vec<String> = rows.into_iter().map(|(_, version)| version).collect();
        versions.sort_by(|a, b| newer_first(a, b));
        versions.dedup();
        Ok(versions)
    }

    /// Fetches the archives of a source package, `name=version`, into `into`. apt checks them against the signed index;
    /// the package's own description, which not every mirror has, is not needed.
    pub(crate) fn fetch_source(&self, log: &Log, package: &str, into: &Path) -> Result<()> {
        // The archive of the release, and that of Debian's additions.
        ["--tar-only", "--diff-only"].iter().try_for_each(|which| {
            self.fetch(log, "fetching the source", || {
                let mut command = self.command(killed_with_parent("apt-get"));
                command.args(["source", "--download-only", which, "--only-source", package]).current_dir(into);
                command
            })
        })
    }

    /// Runs `command` up to three times, unless there is no network.
    fn fetch(&self, log: &Log, title: &str, command: impl Fn() -> Command) -> Result<()> {
        let mut pauses = RETRY_AFTER.iter();
        loop {
            let error = match log.run(title, &mut command()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if !diagnosis::is_offline(&format!("{error:#}")) => {
                    log.say(format!("    {title}: failed, trying again in {} s", pause.as_secs()));
                    sleep(*pause);
                }
                _ => return Err(error),
            }
        }
    }

    fn command(&self, mut command: Command) -> Command {
        command
            .env("APT_CONFIG", self.0.join("apt.conf"))
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn configuration(&self, sources: &[(&str, &str)]) -> Result<String> {
        let dir = self.0.display();
        let native = sources.first().context("apt has no sources")?.1;
        let arches: String = sources.iter().map(|(_, arch)| format!("\"{arch}\"; ")).collect();
        // Proxies and the like are the administrator's settings.
        let mut network = String::new();
        for tree in ["Acquire::http", "Acquire::https"] {
            network +=
                &output_of(Command::new("apt-config").args(["dump", "--no-empty", "--format", "%F \"%v\";%n", tree]))?;
        }
        Ok(format!(
            r#"{network}
Dir "{dir}";
Dir::State "{dir}";
Dir::State::Lists "lists";
Dir::State::status "{dir}/status";
Dir::Cache "{dir}";
Dir::Cache::Archives "archives";
Dir::Etc "{dir}/etc";
Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::Log "{dir}";
// Mirrors lag behind; the signature alone is checked.
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Acquire::Languages "none";
APT::Architecture "{native}";
APT::Architectures {{ {arches}}};
APT::Install-Recommends "false";
// In a user namespace there may be no user _apt to switch to.
APT::Sandbox::User "";
"#
        ))
    }
}

/// Orders Debian versions, as `dpkg --compare-versions` does, the newer one first.
pub(crate) fn newer_first(a: &str, b: &str) -> Ordering {
    let is = |relation| {
        let status = Command::new("dpkg").args(["--compare-versions", a, relation, b]).status();
        status.is_ok_and(|status| status.success())
    };
    if is("gt") {
        Ordering::Less
    } else if is("lt") {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Reads the output of `apt-cache madison`, whose lines are `name | version | source`, as `(name, version)` pairs.
fn madison(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            Some((columns.next()?.to_owned(), columns.next()?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_first_goes_by_numbers_and_epochs() {
        let mut versions = ["1:10.0.13+ds-0+deb13u1", "1:9.2.4+ds-1", "1:11.1.2+ds-3", "2:1.0-1", "1:11.1.3~rc1+ds-1"];
        versions.sort_by(|a, b| newer_first(a, b));
        assert_eq!(
            versions,
            ["2:1.0-1", "1:11.1.3~rc1+ds-1", "1:11.1.2+ds-3", "1:10.0.13+ds-0+deb13u1", "1:9.2.4+ds-1"]
        );
    }

    #[test]
    fn madison_keeps_names_with_versions() {
        let text =
            "linux-source-7.3 | 7.3~rc7-1~exp1 | http://mirror.example/debian experimental/main amd64 Packages\n";
        assert_eq!(madison(text), [("linux-source-7.3".to_owned(), "7.3~rc7-1~exp1".to_owned())]);
    }
}
