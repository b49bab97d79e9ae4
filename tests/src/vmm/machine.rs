// SPDX-License-Identifier: MIT OR Apache-2.0

//! The machine that a VMM plays.

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A hypervisor's guest.
    Pseries,
    /// The same, in which CPUs can come and go more often.
    PseriesForLong,
    /// The same as the first, with room for a DIMM of 64 GiB, and memory for what a guest keeps about every page of that.
    PseriesWithRoom,
    /// The same as the first, with SLOF that has no `set-indicator`.
    PseriesWithoutSetIndicator,
    /// The same as the first, with two threads to each core.
    PseriesOfTwoThreads,
    /// A whole machine, with no hypervisor below it.
    Powernv,
}

/// What a pseries guest finds as it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// QEMU's own virtual Open Firmware, which has little to do: a guest is up in a third of the time that it takes with
    /// SLOF. Once a kernel runs, nothing is left of either; RTAS is QEMU's with both.
    #[default]
    Vof,
    /// SLOF, QEMU's default, which guests are started by where it is not the tests that start them.
    Slof,
}

impl Firmware {
    fn options(self) -> &'static [&'static str] {
        match self {
            // A variable, whatever it says, has QEMU partition the NVRAM, as SLOF would.
            Self::Vof => &["-machine", "x-vof=on", "-bios", "vof.bin", "-prom-env", "auto-boot?=true"],
            Self::Slof => &[],
        }
    }
}

/// What the guest is given: one CPU of many, 2 GiB, four slots for DIMMs, and a second NUMA node that is empty until a
/// DIMM comes. QEMU has room for as many threads of TCG as there can be CPUs and gives none of it back, so that the
/// number is also how many CPUs can come in the life of a QEMU, less one.
const PSERIES: &str = "\
    -machine pseries -cpu power9 -smp 1,maxcpus=8 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-7,memdev=ram0 -numa node,nodeid=1";

/// The same for 63 CPUs to come.
const PSERIES_FOR_LONG: &str = "\
    -machine pseries -cpu power9 -smp 1,maxcpus=64 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-63,memdev=ram0 -numa node,nodeid=1";

const PSERIES_WITH_ROOM: &str = "-machine pseries -cpu power9 -smp 1,maxcpus=8 -m 4G,slots=4,maxmem=72G";

const TWO_THREADS: &str = "\
    -machine pseries -cpu power9 -smp 2,threads=2,cores=4,maxcpus=8 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-7,memdev=ram0 -numa node,nodeid=1";

/// One with a BMC, without which its firmware can neither reboot nor end.
const POWERNV: &str = "\
    -machine powernv9 -smp 1 -m 2G -device ipmi-bmc-sim,id=bmc0 -device isa-ipmi-bt,bmc=bmc0,irq=10";

/// A script for SLOF, in Forth. The function goes when the kernel takes RTAS over: before that, client architecture support
/// would bring it back.
const WITHOUT_SET_INDICATOR: [&str; 4] = [
    "-prom-env",
    "use-nvramrc?=true",
    "-prom-env",
    "nvramrc=\" /rtas\" find-device \
     : instantiate-rtas instantiate-rtas get-node \" /rtas\" find-device \" set-indicator\" delete-property set-node ; \
     device-end",
];

impl Machine {
    /// QEMU's options for it, with this firmware if it takes either.
    pub fn options(self, firmware: Firmware) -> impl Iterator<Item = &'static str> {
        let (machine, firmware): (_, &[_]) = match self {
            Self::Pseries => (PSERIES, firmware.options()),
            Self::PseriesForLong => (PSERIES_FOR_LONG, firmware.options()),
            Self::PseriesWithRoom => (PSERIES_WITH_ROOM, firmware.options()),
            Self::PseriesWithoutSetIndicator => (PSERIES, &WITHOUT_SET_INDICATOR),
            Self::PseriesOfTwoThreads => (TWO_THREADS, firmware.options()),
            Self::Powernv => (POWERNV, &[]),
        };
        machine.split_whitespace().chain(firmware.iter().copied())
    }

    /// What its serial lines are plugged into, in their order. The first is the console of a pseries guest, the last that of
    /// skiboot.
    pub fn serial_lines(self) -> [&'static str; 2] {
        match self {
            Self::Powernv => ["shell", "console"],
            _ => ["console", "shell"],
        }
    }
}
