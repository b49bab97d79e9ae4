// SPDX-License-Identifier: MIT OR Apache-2.0

//! Command line of `drmgr`, by which a process is asked to handle one request.

use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::{Action, HotplugRequest, Resource, Target},
};
use std::ffi::OsString;

/// Request in the words of a command line of `drmgr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Resource; `None` for one that this program does not know.
    pub(crate) resource: Option<Resource>,
    /// Action; `None` for another one than adding or removing.
    pub(crate) action: Option<Action>,
    /// Connector, if it is named by its index.
    pub(crate) connector: Option<DrcIndex>,
    /// All words, as `drmgr` takes them.
    pub(crate) words: Vec<OsString>,
}

impl CommandLine {
    /// Reads the words of a command line, those after the name of the program.
    pub(crate) fn read(words: Vec<OsString>) -> Self {
        let after = |flag: &str| {
            let at = words.iter().position(|word| word == flag)?;
            words.get(at + 1)?.to_str()
        };
        let has = |flag: &str| words.iter().any(|word| word == flag);
        let resource = match after("-c") {
            Some("pci") => Some(Resource::PCI),
            Some("phb") => Some(Resource::PHB),
            _ => None,
        };
        let action = match (has("-a"), has("-r")) {
            (true, false) => Some(Action::ADD),
            (false, true) => Some(Action::REMOVE),
            _ => None,
        };
        let connector = after("-s").and_then(|index| u32::from_str_radix(index.strip_prefix("0x")?, 16).ok());
        Self { resource, action, connector: connector.map(DrcIndex), words }
    }

    /// Returns the command line by which `rtas_errd` asks for the same as a request; `None` for a request that it would
    /// not handle.
    pub(crate) fn of(request: &HotplugRequest) -> Option<Self> {
        let (class, more): (_, &[&str]) = match request.resource {
            Resource::PCI => ("pci", &["-n", "-d4", "-V"]),
            Resource::PHB => ("phb", &["-d4", "-V"]),
            _ => return None,
        };
        let action = match request.action {
            Action::ADD => "-a",
            Action::REMOVE => "-r",
            _ => return None,
        };
        let Target::Index(connector) = request.target() else { return None };
        let index = format!("{connector}");
        let words = ["-c", class, action, "-s", &index].into_iter().chain(more.iter().copied()).map(OsString::from);
        Some(Self::read(words.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> CommandLine {
        CommandLine::read(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn removal_that_rtas_errd_asks_for_is_read() {
        let line = read("-c pci -r -s 0x40000008 -n -d4 -V");
        assert_eq!((line.resource, line.action), (Some(Resource::PCI), Some(Action::REMOVE)));
        assert_eq!(line.connector, Some(DrcIndex(0x4000_0008)));
    }

    #[test]
    fn what_this_program_does_not_know_is_none() {
        let line = read("-c cpu -q 4 -a -r");
        assert_eq!((line.resource, line.action, line.connector), (None, None, None));
        assert_eq!(read("-c").resource, None);
    }

    #[test]
    fn line_of_a_request_reads_as_the_request() {
        let request = HotplugRequest::from([4, 2, 2, 0x80, 0x20, 0, 0, 1, 0, 0, 0, 0]);
        let line = CommandLine::of(&request).unwrap();
        assert_eq!(line.words, ["-c", "phb", "-r", "-s", "0x20000001", "-d4", "-V"]);
        assert_eq!(line.connector, Some(DrcIndex(0x2000_0001)));
    }

    #[test]
    fn request_of_another_kind_or_void_has_no_line() {
        for (at, byte) in [(0, 1), (1, 0), (2, 3)] {
            let mut bytes = [5, 2, 2, 0, 0x40, 0, 0, 8, 0, 0, 0, 0];
            bytes[at] = byte;
            assert_eq!(CommandLine::of(&HotplugRequest::from(bytes)), None);
        }
    }
}
