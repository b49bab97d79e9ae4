// SPDX-License-Identifier: MIT OR Apache-2.0

//! The commands of README.md and packaging/README.md, typed into a Debian that boots with systemd and into a host's root.
//! `cargo xtask newcomer` runs this test.

use anyhow::{Context as _, Result, ensure};
use papr_unplug_tests::{
    artifacts::{Artifacts, target},
    deadline::be_patient,
    guest::{marker::Output, shell::Shell},
    newcomer::{
        debian::{Debian, Installed},
        disk,
        host::Host,
        page::commands_for_root,
    },
};
use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

const README: &str = include_str!("../../../README.md");

/// Headings of the README with commands to install and to remove.
const IN_A_GUEST: &str = "In a guest";
const AGENT: &str = "In a guest whose PCI devices are detached";
const ON_A_HOST: &str = "On a host";

/// Lists files of ours, but for the packages, which are below `/mnt` on the host, and for logs of dpkg, apt and DKMS.
const OURS: &str = "find / -xdev \\( -name '*papr*unplug*' -o -path '*/dkms/papr*' \\) \
                    -not -name '*papr-unplug*.deb' -not -path '/mnt/*'";

/// Writes what was typed and what it printed, to standard output and to `target/newcomer/transcript.txt`.
struct Transcript(File);

impl Transcript {
    fn add(&mut self, place: &str, command: &str, Output { text, status }: &Output) -> io::Result<()> {
        // What a terminal shows of a line that is written over again.
        let shown = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned();
        let text = text.trim_end().lines().map(shown).collect::<Vec<_>>().join("\n");
        let mut entry = format!("{place}# {command}\n{text}\n");
        if *status != 0 {
            entry += &format!("[status {status}]\n");
        }
        print!("{entry}");
        self.0.write_all(entry.as_bytes())
    }

    /// Types a command, which must succeed.
    fn in_guest(&mut self, shell: &mut Shell, command: &str) -> Result<String> {
        let output = shell.run(command)?;
        self.add("guest", command, &output)?;
        ensure!(output.status == 0, "in the guest, `{command}` ended with {}", output.status);
        Ok(output.text)
    }

    /// Types a command and returns its output, which may be that of a failure.
    fn on_host(&mut self, host: &Host, command: &str) -> Result<Output> {
        let output = host.run(command)?;
        self.add("host", command, &output)?;
        Ok(output)
    }

    /// Types a command, which must succeed.
    fn on_host_well(&mut self, host: &Host, command: &str) -> Result<String> {
        let output = self.on_host(host, command)?;
        ensure!(output.status == 0, "on the host, `{command}` ended with {}", output.status);
        Ok(output.text)
    }
}

/// Returns the two blocks below a heading of the README: to install and use, and to remove.
fn install_and_remove(heading: &str) -> Result<[Vec<String>; 2]> {
    let blocks = commands_for_root(README, heading);
    blocks.try_into().ok().with_context(|| format!("\"{heading}\" has not two blocks of commands for root"))
}

/// Returns the path that `cargo xtask newcomer` hands over.
fn given(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).with_context(|| format!("no {variable}: run `cargo xtask newcomer`"))?;
    Ok(PathBuf::from(path))
}

/// Makes a host's root, and the disks of a guest.
fn set_up(dir: &Path) -> Result<(Host, Installed)> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    let (packages, guest, run) = (given("PAPR_UNPLUG_PACKAGES")?, given("PAPR_UNPLUG_GUEST")?, dir.join("run"));
    fs::create_dir_all(&run)?;
    let host = Host { tree: dir.join("host"), run, packages };
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(given("PAPR_UNPLUG_HOST")?).arg(&host.tree);
    ensure!(copy.status()?.success(), "cannot copy the host's root");
    fs::create_dir_all(host.tree.join("etc/apt/apt.conf.d"))?;
    fs::write(host.tree.join("etc/apt/apt.conf.d/newcomer"), disk::APT)?;

    let mirror = dir.join("mirror");
    disk::mirror(&host, &given("PAPR_UNPLUG_GUEST_PACKAGES")?, &mirror)?;
    for package in ["papr-unplug-dkms", "papr-unplug-agent"] {
        let deb = format!("{package}_{}_ppc64el.deb", env!("CARGO_PKG_VERSION"));
        fs::copy(host.packages.join(&deb), mirror.join(&deb)).with_context(|| format!("cannot copy {deb}"))?;
    }
    let installed = Installed {
        artifacts: disk::boot_files(&Artifacts::find()?, &guest, dir)?,
        disk: disk::write(&host, &guest, "disk.img", "4G")?,
        packages: disk::write(&host, &mirror, "packages.img", "256M")?,
        monitor: host.run.join("vm.qmp"),
    };
    Ok((host, installed))
}

#[test]
#[ignore = "takes a disk with an installed Debian: `cargo xtask newcomer`"]
fn newcomer_installs_sees_a_refusal_and_removes_everything() -> Result<()> {
    // dpkg unpacks ten thousand headers, and DKMS compiles.
    be_patient(2 * 60 * 60);
    let dir = target().join("newcomer");
    let (host, installed) = set_up(&dir)?;
    let mut transcript = Transcript(File::create(dir.join("transcript.txt"))?);

    let [install_in_guest, remove_from_guest] = install_and_remove(IN_A_GUEST)?;
    let [install_agent, remove_agent] = install_and_remove(AGENT)?;
    let [install_on_host, remove_from_host] = install_and_remove(ON_A_HOST)?;

    let mut guest = installed.boot("newcomer-installs")?;
    guest.shell.sh("cp /srv/papr-unplug-*.deb . && apt-get update")?;
    let mut said = String::new();
    for command in &install_in_guest {
        said = transcript.in_guest(&mut guest.shell, command)?;
    }
    ensure!(said.contains("(level 1)"), "the last command does not say that reports are taken: {said}");
    transcript.in_guest(&mut guest.shell, "dkms status")?;
    for command in &install_agent {
        transcript.in_guest(&mut guest.shell, command)?;
    }
    transcript.in_guest(&mut guest.shell, "systemctl is-active papr-unplug-agent")?;
    guest.shut_down()?;

    // The next boot loads the module and starts the agent.
    let mut guest = installed.boot("newcomer-is-refused")?;
    transcript.in_guest(
        &mut guest.shell,
        "systemctl is-active systemd-modules-load && systemctl is-active papr-unplug-agent",
    )?;
    transcript.in_guest(&mut guest.shell, "lsmod | grep papr_unplug")?;
    for command in &install_on_host {
        // There is no libvirt.
        if command.contains("--qmp") {
            refused_and_released(&mut guest, &host, &mut transcript, command)?;
        } else if !command.contains("--domain") {
            transcript.on_host_well(&host, command)?;
        }
    }
    for command in commands_for_root(README, "Report a problem").concat() {
        said = transcript.in_guest(&mut guest.shell, &command)?;
    }
    ensure!(said.contains("reason=memory-veto"), "the last command of a report does not show the refusal: {said}");

    for command in remove_agent.iter().chain(&remove_from_guest) {
        transcript.in_guest(&mut guest.shell, command)?;
    }
    nothing_is_left(&transcript.in_guest(&mut guest.shell, OURS)?)?;
    guest.shut_down()?;
    let mut guest = installed.boot("newcomer-has-removed")?;
    let state = transcript.in_guest(&mut guest.shell, "systemctl is-active systemd-modules-load; lsmod; dmesg")?;
    ensure!(!state.contains("papr_unplug"), "the module is still there");
    transcript.in_guest(&mut guest.shell, "! systemctl --failed --plain --no-legend | grep modules-load")?;
    nothing_is_left(&transcript.in_guest(&mut guest.shell, OURS)?)?;
    guest.shut_down()?;

    for command in &remove_from_host {
        transcript.on_host_well(&host, command)?;
    }
    nothing_is_left(&transcript.on_host_well(&host, OURS)?)?;
    println!("the transcript is in {}", dir.join("transcript.txt").display());
    for big in [&host.tree, &host.run, &dir.join("mirror")] {
        fs::remove_dir_all(big).with_context(|| format!("cannot remove {}", big.display()))?;
    }
    Ok(())
}

/// Types the command of the page that asks for `dimm1`, while that is busy and when it is not, and then for the last CPU.
fn refused_and_released(guest: &mut Debian, host: &Host, transcript: &mut Transcript, command: &str) -> Result<()> {
    ensure!(command.ends_with(" dimm1"), "`{command}` does not ask for dimm1");
    guest.add_busy_dimm("dimm1")?;
    let refused = transcript.on_host(host, command)?;
    ensure!(refused.status == 3 && refused.text.contains("memory-veto"), "the refusal was not told");
    let event = guest.event("DEVICE_UNPLUG_GUEST_ERROR", "dimm1")?;
    ensure!(event.data("reason").is_some(), "the event has no reason: {event}");
    println!("{event}");
    guest.shell.allow_offlining()?;
    transcript.on_host_well(host, command)?;

    guest.make_core_the_last("cpu1")?;
    let refused = transcript.on_host(host, &command.replace("dimm1", "cpu1"))?;
    ensure!(refused.status == 3 && refused.text.contains("last-cpu"), "the refusal was not told");
    guest.shell.sh("echo 1 > /sys/devices/system/cpu/cpu0/online").map(drop)
}

fn nothing_is_left(found: &str) -> Result<()> {
    ensure!(found.trim().is_empty(), "these files are left: {found}");
    Ok(())
}

#[test]
fn readme_has_commands_to_install_and_to_remove() {
    for heading in [IN_A_GUEST, AGENT, ON_A_HOST] {
        let [install, remove] = install_and_remove(heading).unwrap();
        assert!(install[0].starts_with("apt install ./papr-unplug"), "{install:?}");
        assert!(remove.iter().any(|command| command.starts_with("apt purge papr-unplug")), "{remove:?}");
    }
}
