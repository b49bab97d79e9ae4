// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's apt, with a state of its own: it resolves, fetches and verifies, and changes nothing on the host.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache::store::Store;
use crate::host;
use crate::host::mirror;
use crate::run::diagnosis;
use crate::run::step::{Log, killed_with_parent, output_of};

/// Pauses before fetching again from a mirror that is in the middle of an update.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];

/// An apt that sees only the given suites of the Debian archive and an empty machine.
#[derive(Debug)]
pub(crate) struct Apt {
    dir: PathBuf,
    /// The architecture of that machine.
    machine: &'static str,
}

impl Apt {
    /// Sets apt up in `dir` for `(suite, architecture)` pairs, and fetches the package lists.
    pub(crate) fn new(store: &Store, log: &mut Log, dir: PathBuf, sources: &[(&str, &str)]) -> Result<Self> {
        Self::with(store, log, dir, host::arch()?.debian, "deb", sources)
    }

    /// Sets apt up in `dir` for an empty machine of another architecture, and fetches the package lists of these suites.
    pub(crate) fn of_machine(
        store: &Store,
        log: &mut Log,
        dir: PathBuf,
        machine: &'static str,
        suites: &[&str],
    ) -> Result<Self> {
        let sources: Vec<(&str, &str)> = suites.iter().map(|suite| (*suite, machine)).collect();
        Self::with(store, log, dir, machine, "deb", &sources)
    }

    /// Sets apt up in `dir` for the source packages of these suites, and fetches the package lists.
    pub(crate) fn for_sources(store: &Store, log: &mut Log, dir: PathBuf, suites: &[&str]) -> Result<Self> {
        let native = host::arch()?.debian;
        let sources: Vec<(&str, &str)> = suites.iter().map(|suite| (*suite, native)).collect();
        Self::with(store, log, dir, native, "deb-src", &sources)
    }

    fn with(
        store: &Store,
        log: &mut Log,
        dir: PathBuf,
        machine: &'static str,
        what: &str,
        sources: &[(&str, &str)],
    ) -> Result<Self> {
        for sub in ["etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let apt = Self { dir, machine };
        let mirror = mirror::address(&store.settings)?;
        let keyring = host::keyring()?;
        let lines = sources
            .iter()
            .map(|(suite, arch)| format!("{what} [arch={arch} signed-by={keyring}] {mirror} {suite} main\n"));
        fs::write(apt.dir.join("sources.list"), lines.collect::<String>())?;
        fs::write(apt.dir.join("status"), "")?;
        fs::write(apt.dir.join("apt.conf"), apt.configuration(sources)?)?;
        log.note(&format!("the Debian mirror is {mirror}"))?;
        apt.fetch(store, log, "package lists", || {
            let mut command = apt.command(killed_with_parent("apt-get"));
            command.args(["update", "--error-on=any"]);
            command
        })?;
        Ok(apt)
    }

    /// Fetches `packages` and all they depend on.
    pub(crate) fn fetch_closure(&self, store: &Store, log: &mut Log, packages: &[&str]) -> Result<Vec<PathBuf>> {
        self.fetch(store, log, "fetching packages", || {
            let mut command = self.command(killed_with_parent("apt-get"));
            command.args(["install", "--yes", "--download-only"]).args(packages);
            command
        })?;
        let mut debs = Vec::new();
        for entry in fs::read_dir(self.dir.join("archives"))? {
            debs.push(entry?.path());
        }
        debs.retain(|path| path.extension() == Some("deb".as_ref()));
        debs.sort();
        Ok(debs)
    }

    /// Fetches exactly these packages, each `name=version` or `name:arch`, into `into`.
    pub(crate) fn fetch_only(&self, store: &Store, log: &mut Log, packages: &[String], into: &Path) -> Result<()> {
        self.fetch(store, log, "fetching packages", || {
            let mut command = self.command(killed_with_parent("apt-get"));
            command.arg("download").args(packages).current_dir(into);
            command
        })
    }

    /// The `(name, version)` pairs of packages whose name matches `pattern`, newest version of each first.
    pub(crate) fn versions(&self, pattern: &str) -> Result<Vec<(String, String)>> {
        let names = output_of(self.command(Command::new("apt-cache")).args(["--names-only", "search", pattern]))?;
        let names: Vec<&str> = names.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(madison(&output_of(self.command(Command::new("apt-cache")).arg("madison").args(names))?))
    }

    /// The versions of a source package that the suites list, newest first.
    pub(crate) fn source_versions(&self, package: &str) -> Result<Vec<String>> {
        let mut rows = madison(&output_of(self.command(Command::new("apt-cache")).args(["madison", package]))?);
        rows.retain(|(name, _)| name == package);
        let mut versions: Vec<String> = rows.into_iter().map(|(_, version)| version).collect();
        versions.sort_by(|a, b| newer_first(a, b));
        versions.dedup();
        Ok(versions)
    }

    /// Fetches a source package, `name=version`, into `into`, without unpacking it.
    pub(crate) fn fetch_source(&self, store: &Store, log: &mut Log, package: &str, into: &Path) -> Result<()> {
        self.fetch(store, log, "fetching the source", || self.source_command(package, into))
    }

    /// The same, but a mirror that does not have it is not asked again.
    pub(crate) fn fetch_source_once(&self, store: &Store, log: &mut Log, package: &str, into: &Path) -> Result<()> {
        log.run(store, "fetching the source", &mut self.source_command(package, into))
    }

    fn source_command(&self, package: &str, into: &Path) -> Command {
        let mut command = self.command(killed_with_parent("apt-get"));
        command.args(["source", "--download-only", "--only-source", package]).current_dir(into);
        command
    }

    fn fetch(&self, store: &Store, log: &mut Log, title: &str, command: impl Fn() -> Command) -> Result<()> {
        let mut pauses = RETRY_AFTER.iter();
        loop {
            let error = match log.run(store, title, &mut command()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if !diagnosis::is_offline(&format!("{error:#}")) => {
                    store.progress.say(format!("    {title}: failed, trying again in {} s", pause.as_secs()));
                    sleep(*pause);
                }
                _ => return Err(error),
            }
        }
    }

    fn command(&self, mut command: Command) -> Command {
        command
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn configuration(&self, sources: &[(&str, &str)]) -> Result<String> {
        let dir = self.dir.display();
        let native = self.machine;
        let mut arches = vec![native];
        arches.extend(sources.iter().map(|(_, arch)| *arch).filter(|arch| *arch != native));
        let arches: String = arches.iter().map(|arch| format!("\"{arch}\"; ")).collect();
        // How this machine reaches the network is its administrator's business.
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
// Mirrors lag; the signature still says whose the lists are.
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Acquire::Languages "none";
APT::Architecture "{native}";
APT::Architectures {{ {arches}}};
APT::Install-Recommends "false";
// There may be no other user to become, and nothing here is root's.
APT::Sandbox::User "";
"#
        ))
    }
}

/// Orders versions by the rules of Debian, for which dpkg is asked.
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

/// Reads `apt-cache madison`: `name | version | source`.
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
