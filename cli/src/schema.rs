// SPDX-License-Identifier: MIT OR Apache-2.0

//! QAPI members of events and answers, as far as the program reads them.
//!
//! Every member is optional, and a member of an unexpected type counts as absent: stock QEMU sends few of them, and a
//! newer QEMU may change them. Members that are not named here are not lost, because `--json` prints the whole event.

use crate::device::Device;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Command that returns [`UnplugStatus`].
pub const QUERY: &str = "query-device-unplug-requests";

/// Event for a refusal by the guest.
pub const REFUSED: &str = "DEVICE_UNPLUG_GUEST_ERROR";
/// Event for a device that is gone.
pub const DELETED: &str = "DEVICE_DELETED";
/// Event for a request that ended without a refusal or a deletion.
pub const ENDED: &str = "DEVICE_UNPLUG_REQUEST_ENDED";

/// Command that withdraws a request.
pub const WITHDRAW: &str = "device-unplug-withdraw";

/// Data of [`REFUSED`], [`DELETED`] and [`ENDED`], and an entry of [`UnplugStatus::outcomes`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct EventData {
    /// The id that the device was added with, if it has one.
    #[serde(deserialize_with = "if_fit")]
    pub device: Option<String>,
    /// The device's QOM path.
    #[serde(deserialize_with = "if_fit")]
    pub path: Option<String>,
    /// The request that ended.
    #[serde(deserialize_with = "if_fit")]
    pub request: Option<u64>,
    /// The requests that ended with the deletion of the device.
    #[serde(deserialize_with = "if_fit")]
    pub requests: Option<Vec<u64>>,
    /// The cause of a deletion: `guest`, `reset`, `cas`, or `vmm` if the bus of the device went. A newer QEMU may have
    /// others.
    #[serde(deserialize_with = "if_fit")]
    pub cause: Option<String>,
    /// The end of the request. A newer QEMU may have other words.
    #[serde(deserialize_with = "if_fit")]
    pub outcome: Option<String>,
    /// The source of QEMU's knowledge that the refusal is about this request.
    #[serde(deserialize_with = "if_fit")]
    pub source: Option<Source>,
    /// The reason's code.
    #[serde(deserialize_with = "if_fit")]
    pub reason_code: Option<u64>,
    /// The reason's name.
    #[serde(deserialize_with = "if_fit")]
    pub reason: Option<String>,
    /// The guest's error number.
    #[serde(deserialize_with = "if_fit")]
    pub errno: Option<i32>,
    /// The connector that refused.
    #[serde(deserialize_with = "if_fit")]
    pub drc: Option<u64>,
    /// The guest physical address of the memory that refused.
    #[serde(deserialize_with = "if_fit")]
    pub address: Option<u64>,
}

/// Answer to `device_del`. Stock QEMU returns an empty object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Requested {
    /// The number of the request.
    #[serde(deserialize_with = "if_fit")]
    pub request: Option<u64>,
    /// True if the guest is not asked until another device is asked for.
    #[serde(deserialize_with = "if_fit")]
    pub withheld: Option<bool>,
}

/// Source of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The guest's report named the request by its token.
    ReportedByToken,
    /// The guest's report named no request; it was charged to the oldest one that fits.
    ReportedInOrder,
    /// The guest sent no report; QEMU infers the refusal from a hint.
    Inferred,
}

/// Answer to [`QUERY`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct UnplugStatus {
    /// The classes that the VM offers to the guest to arm.
    #[serde(deserialize_with = "if_fit")]
    pub offered: Option<Vec<String>>,
    /// The classes that the guest has armed: it answers every request for them.
    #[serde(deserialize_with = "if_fit")]
    pub armed: Option<Vec<String>>,
    /// The number of the latest request.
    #[serde(deserialize_with = "if_fit")]
    pub last_request: Option<u64>,
    /// The requests without an outcome, oldest first.
    #[serde(deserialize_with = "if_fit")]
    pub requests: Option<Vec<Request>>,
    /// The latest outcomes, oldest first.
    #[serde(deserialize_with = "if_fit")]
    pub outcomes: Option<Vec<Value>>,
}

/// Pending request for a removal.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Request {
    /// The request's number.
    #[serde(deserialize_with = "if_fit")]
    pub request: Option<u64>,
    /// The device's id.
    #[serde(deserialize_with = "if_fit")]
    pub device: Option<String>,
    /// The device's QOM path.
    #[serde(deserialize_with = "if_fit")]
    pub path: Option<String>,
    /// The resource class.
    #[serde(deserialize_with = "if_fit")]
    pub class: Option<String>,
    /// True if the guest has promised to answer this request.
    #[serde(deserialize_with = "if_fit")]
    pub promised: Option<bool>,
    /// True if the guest has reported that it began.
    #[serde(deserialize_with = "if_fit")]
    pub started: Option<bool>,
    /// True if the guest has sent a hint of a refusal, and its report is still to come.
    #[serde(deserialize_with = "if_fit")]
    pub hint: Option<bool>,
    /// True if the guest is not asked until another device is asked for.
    #[serde(deserialize_with = "if_fit")]
    pub withheld: Option<bool>,
}

impl EventData {
    /// Parses the data of an event.
    pub fn of(data: Option<&Value>) -> Self {
        data.and_then(|data| serde_json::from_value(data.clone()).ok()).unwrap_or_default()
    }

    /// Returns whether the event is about a device.
    pub fn is_about(&self, device: &Device) -> bool {
        device.is(self.device.as_deref(), self.path.as_deref())
    }

    /// Returns the numbers of the requests that ended.
    pub fn ended(&self) -> impl Iterator<Item = u64> {
        self.request.into_iter().chain(self.requests.iter().flatten().copied())
    }
}

impl UnplugStatus {
    /// Parses the answer to [`QUERY`].
    pub fn of(answer: Value) -> Self {
        serde_json::from_value(answer).unwrap_or_default()
    }

    /// Returns the numbers of the requests for a device that are pending, and of those that have ended.
    pub fn numbers_for(&self, device: &Device) -> impl Iterator<Item = u64> {
        let ended = self.outcomes.iter().flatten().map(|entry| EventData::of(Some(entry)));
        let ended = ended.filter(|data| data.is_about(device)).filter_map(|data| data.request);
        self.requests_for(device).filter_map(|request| request.request).chain(ended)
    }

    /// Returns the pending requests for a device.
    pub fn requests_for(&self, device: &Device) -> impl Iterator<Item = &Request> {
        self.requests.iter().flatten().filter(|request| request.is_for(device))
    }
}

impl Requested {
    /// Parses the answer to `device_del`.
    pub fn of(answer: Value) -> Self {
        serde_json::from_value(answer).unwrap_or_default()
    }
}

impl Request {
    /// Returns whether the request is for a device.
    pub fn is_for(&self, device: &Device) -> bool {
        device.is(self.device.as_deref(), self.path.as_deref())
    }
}

/// Deserializes a member, or returns `None` if it is of another type.
fn if_fit<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stock_event_has_device_and_path() {
        let data = EventData::of(Some(&json!({ "device": "d", "path": "/machine/peripheral/d" })));
        assert!(data.is_about(&Device::new("d")) && !data.is_about(&Device::new("e")));
        assert_eq!(data, EventData { device: data.device.clone(), path: data.path.clone(), ..EventData::default() });
    }

    #[test]
    fn member_of_another_type_counts_as_absent_and_others_are_kept() {
        let data = EventData::of(Some(&json!({ "device": 5, "reason": ["a"], "source": "guessed", "reason-code": 6 })));
        assert_eq!(data, EventData { reason_code: Some(6), ..EventData::default() });
    }

    #[test]
    fn malformed_requests_do_not_hide_what_is_armed() {
        let unplugs: UnplugStatus =
            serde_json::from_value(json!({ "armed": ["cpu"], "requests": 3, "new": {} })).unwrap();
        assert_eq!(unplugs, UnplugStatus { armed: Some(vec!["cpu".into()]), ..UnplugStatus::default() });
    }
}
