// SPDX-License-Identifier: MIT OR Apache-2.0

//! Name of a device, in each form that `device_del` accepts.

use crate::escape::escaped;
use std::fmt;

/// Container of the devices that were added with an id.
const PERIPHERAL: &str = "/machine/peripheral/";

/// Id or QOM path of a device, as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    name: String,
    path: String,
}

impl Device {
    /// Resolves a name as QEMU does: a path is relative to the devices that were added with an id unless it begins with
    /// a slash, and empty components do not count.
    pub fn new(name: &str) -> Self {
        let parent = if name.starts_with('/') { "/" } else { PERIPHERAL };
        let components: Vec<&str> = name.split('/').filter(|component| !component.is_empty()).collect();
        Self { name: name.to_owned(), path: format!("{parent}{}", components.join("/")) }
    }

    /// Returns the name as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id, if the device was added with one.
    pub fn id(&self) -> Option<&str> {
        self.path.strip_prefix(PERIPHERAL).filter(|id| !id.contains('/'))
    }

    /// Returns whether a device with this id and path is the one. Stock QEMU leaves out the path in some events.
    pub fn is(&self, id: Option<&str>, path: Option<&str>) -> bool {
        id.is_some() && id == self.id() || path == Some(&self.path)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(self.id().unwrap_or(&self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_is_recognized_by_id_and_by_path_in_any_form() {
        for name in ["core1", "core1/", "core1//", "/machine/peripheral/core1", "/machine//peripheral/core1/"] {
            let device = Device::new(name);
            assert_eq!(device.to_string(), "core1", "{name}");
            assert!(device.is(Some("core1"), None) && device.is(None, Some("/machine/peripheral/core1")), "{name}");
            assert!(!device.is(Some("core2"), None) && !device.is(None, None), "{name}");
        }
    }

    #[test]
    fn device_without_an_id_is_recognized_by_its_path_only() {
        let device = Device::new("/machine/peripheral-anon/device[0]/");
        assert!(device.is(None, Some("/machine/peripheral-anon/device[0]")) && !device.is(Some("device[0]"), None));
        assert!(!Device::new("core1/thread[0]").is(Some("core1"), Some("/machine/peripheral/core1")));
    }
}
