// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events of a domain and of the connection to it.

/// Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An event of the domain's QEMU.
    Monitor(MonitorEvent),
    /// The domain does not run any more, on this machine. No other event of it follows.
    Stopped,
    /// The connection to libvirt is lost.
    Disconnected,
}

/// Event of QEMU, as libvirt passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorEvent {
    /// Name, such as `DEVICE_DELETED`.
    pub name: String,
    /// QEMU's time of the event in microseconds since 1970, if libvirt has one.
    pub time: Option<u64>,
    /// Data, as JSON; empty if the event has none.
    pub data: String,
}

/// Receiver of events. It is called by libvirt's event loop, and must not block.
pub type Listener = Box<dyn Fn(Event) + Send + Sync>;
