// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's machine types and their options.

/// Machine type with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// pseries with one CPU.
    Pseries,
    /// pseries in which 63 CPUs can be added in the life of one QEMU.
    PseriesForLong,
    /// pseries with four CPUs, in which 60 CPUs can be added in the life of one QEMU.
    PseriesOfFourCpus,
    /// pseries with room for a DIMM of 64 GiB, and with memory for its page structures.
    PseriesWithRoom,
    /// pseries with a SLOF that has no `set-indicator`.
    PseriesWithoutSetIndicator,
    /// pseries with two threads in each core.
    PseriesOfTwoThreads,
    /// pseries without an event source for hot plug events.
    PseriesWithoutHotplugEvents,
    /// powernv: a machine without a hypervisor.
    Powernv,
}

/// Firmware of a pseries machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// QEMU's Virtual Open Firmware. A guest boots in a third of the time that it takes with SLOF. Neither remains once
    /// the kernel runs; RTAS is QEMU's own in both cases.
    #[default]
    Vof,
    /// SLOF, the default of QEMU.
    Slof,
}

impl Firmware {
    pub(super) fn options(self) -> &'static [&'static str] {
        match self {
            // Any variable makes QEMU partition the NVRAM, as SLOF does.
            Self::Vof => &["-machine", "x-vof=on", "-bios", "vof.bin", "-prom-env", "auto-boot?=true"],
            Self::Slof => &[],
        }
    }
}

/// One CPU of up to eight, 2 GiB, four slots for DIMMs, and an empty second NUMA node. TCG allocates for `maxcpus`
/// threads and reuses none, so `maxcpus` - 1 is also the number of CPUs that can be added in the life of one QEMU.
const PSERIES: &str = "\
    -machine pseries -cpu power9 -smp 1,maxcpus=8 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-7,memdev=ram0 -numa node,nodeid=1";

/// [`PSERIES`] with `maxcpus=64`.
const PSERIES_FOR_LONG: &str = "\
    -machine pseries -cpu power9 -smp 1,maxcpus=64 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-63,memdev=ram0 -numa node,nodeid=1";

/// [`PSERIES_FOR_LONG`] with four CPUs.
const FOUR_CPUS: &str = "\
    -machine pseries -cpu power9 -smp 4,maxcpus=64 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-63,memdev=ram0 -numa node,nodeid=1";

const PSERIES_WITH_ROOM: &str = "-machine pseries -cpu power9 -smp 1,maxcpus=8 -m 4G,slots=4,maxmem=72G";

const WITHOUT_HOTPLUG_EVENTS: &str = "\
    -machine pseries,modern-hotplug-events=off -cpu power9 -smp 1,maxcpus=8 -m 2G,slots=4,maxmem=8G";

const TWO_THREADS: &str = "\
    -machine pseries -cpu power9 -smp 2,threads=2,cores=4,maxcpus=8 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-7,memdev=ram0 -numa node,nodeid=1";

/// powernv with a BMC, which its firmware needs to reboot or power off.
const POWERNV: &str = "\
    -machine powernv9 -smp 1 -m 2G -device ipmi-bmc-sim,id=bmc0 -device isa-ipmi-bt,bmc=bmc0,irq=10";

/// Forth for SLOF that removes `set-indicator` when the kernel instantiates RTAS. Earlier would be too soon: client
/// architecture support rebuilds the node.
const WITHOUT_SET_INDICATOR: [&str; 4] = [
    "-prom-env",
    "use-nvramrc?=true",
    "-prom-env",
    "nvramrc=\" /rtas\" find-device \
     : instantiate-rtas instantiate-rtas get-node \" /rtas\" find-device \" set-indicator\" delete-property set-node ; \
     device-end",
];

impl Machine {
    /// Returns the options of QEMU for this machine and firmware.
    pub fn options(self, firmware: Firmware) -> impl Iterator<Item = &'static str> {
        let (machine, firmware): (_, &[_]) = match self {
            Self::Pseries => (PSERIES, firmware.options()),
            Self::PseriesForLong => (PSERIES_FOR_LONG, firmware.options()),
            Self::PseriesOfFourCpus => (FOUR_CPUS, firmware.options()),
            Self::PseriesWithRoom => (PSERIES_WITH_ROOM, firmware.options()),
            Self::PseriesWithoutSetIndicator => (PSERIES, &WITHOUT_SET_INDICATOR),
            Self::PseriesOfTwoThreads => (TWO_THREADS, firmware.options()),
            Self::PseriesWithoutHotplugEvents => (WITHOUT_HOTPLUG_EVENTS, firmware.options()),
            Self::Powernv => (POWERNV, &[]),
        };
        machine.split_whitespace().chain(firmware.iter().copied())
    }

    /// Returns the character devices of the serial lines, in order. A pseries guest takes the first as its console,
    /// skiboot the last.
    pub fn serial_lines(self) -> [&'static str; 2] {
        match self {
            Self::Powernv => ["shell", "console"],
            _ => ["console", "shell"],
        }
    }
}
