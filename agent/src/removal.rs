// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal of a function without `drmgr`.

use crate::{
    claim::Claim,
    function::{Function, entries},
    kernel::Kernel,
    rtas,
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    reason::Reason,
    rtas::{Indicator, IsolationState},
};
use std::{fs, io};

/// Failure of a removal.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Reason for the hypervisor.
    pub(crate) reason: Reason,
    /// Error number; 0 if there is none.
    pub(crate) errno: u8,
    /// Description, for people.
    pub(crate) text: String,
}

/// Power domain of connectors whose power is always on (LoPAR, "live insertion").
const LIVE_INSERTION: u32 = u32::MAX;

/// Returns whether what a connector holds can be removed without `drmgr`: its power is always on.
pub(crate) fn is_possible(kernel: &Kernel, connector: DrcIndex) -> bool {
    // The connectors of functions are named by the node of their PHB. Those behind bridges are left to `drmgr`.
    entries(&kernel.sys("firmware/devicetree/base")).any(|phb| {
        let cells = |name: &str| fs::read(phb.join(name)).ok().map(|bytes| numbers(&bytes));
        let (Some(indexes), Some(domains)) = (cells("ibm,drc-indexes"), cells("ibm,drc-power-domains")) else {
            return false;
        };
        domain(&indexes, &domains, connector) == Some(LIVE_INSERTION)
    })
}

/// Returns the power domain of a connector from two properties of its parent. Both begin with the number of their
/// entries.
fn domain(indexes: &[u32], domains: &[u32], connector: DrcIndex) -> Option<u32> {
    let at = indexes.iter().skip(1).position(|index| *index == connector.0)?;
    domains.get(at + 1).copied()
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|cell| u32::from_be_bytes(*cell)).collect()
}

/// Removes a function: from its driver and the kernel, from the device tree, and for the firmware. Without a function,
/// removes what an attempt has left that did not come to its end.
pub(crate) fn remove(
    kernel: &Kernel,
    function: Option<&Function>,
    connector: DrcIndex,
    claims: Vec<Claim>,
) -> Result<(), Failure> {
    let stays = |error: io::Error, what: &str| Failure {
        reason: Reason::DETACH_FAILED,
        errno: error.raw_os_error().and_then(|errno| errno.try_into().ok()).unwrap_or_default(),
        text: format!("{what}: {error}"),
    };
    let node = function.and_then(Function::node);
    if let Some(Function { directory, .. }) = function {
        fs::write(directory.join("remove"), "1").map_err(|error| stays(error, "the kernel does not remove it"))?;
    }
    // The disks are gone. While they are open, they could not come back under their names.
    drop(claims);
    // Without a function there may be no node, either.
    if let (Err(error), Some(Function { directory, .. })) = (detach(kernel, node.as_deref(), connector), function) {
        // The node is still there, and so is the device for the firmware.
        let is_back = fs::write(kernel.sys("bus/pci/rescan"), "1").is_ok() && directory.exists();
        let failure = stays(error, "its node stays in the device tree");
        return Err(if is_back { failure } else { Failure { reason: Reason::ROLLBACK_FAILED, ..failure } });
    }
    match rtas::set_indicator(kernel, Indicator::ISOLATION_STATE, connector, IsolationState::ISOLATE.0) {
        Ok(status) if status.is_success() => Ok(()),
        result => {
            let text = match result {
                Ok(status) => format!("the firmware does not take it back: status {}", status.0),
                Err(error) => format!("the firmware does not take it back: {error:#}"),
            };
            Err(Failure { reason: Reason::FIRMWARE_REFUSED, errno: 5, text })
        }
    }
}

/// Removes the node of a connector from the device tree: by the file of kernels from 6.12 on, or by the older one.
fn detach(kernel: &Kernel, node: Option<&str>, connector: DrcIndex) -> io::Result<()> {
    let dlpar = kernel.sys("kernel/dlpar");
    if fs::read_to_string(&dlpar).is_ok_and(|classes| classes.trim().split(',').any(|class| class == "dt")) {
        return fs::write(dlpar, format!("dt remove index {connector}"));
    }
    let node = node.ok_or(io::ErrorKind::NotFound)?;
    fs::write(kernel.proc("powerpc/ofdt"), format!("remove_node {node}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_domain_is_that_of_the_connector() {
        let (indexes, domains) = ([2, 0x4000_0000, 0x4000_0008], [2, 5, LIVE_INSERTION]);
        assert_eq!(domain(&indexes, &domains, DrcIndex(0x4000_0008)), Some(LIVE_INSERTION));
        assert_eq!(domain(&indexes, &domains, DrcIndex(0x4000_0000)), Some(5));
        assert_eq!(domain(&indexes, &domains, DrcIndex(0x4000_0010)), None);
        assert_eq!(domain(&indexes, &domains[..2], DrcIndex(0x4000_0008)), None);
        assert_eq!(domain(&[], &[], DrcIndex(2)), None);
    }
}
