// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a QEMU that speaks the papr-unplug protocol tells beyond what every QEMU does.
//!
//! Every member is optional, and one that is not of the expected type counts as not told: a stock QEMU tells none of
//! them, and a newer one may tell them otherwise. What is not named here is not lost, because `--json` prints the event
//! itself.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The command that tells [`Unplugs`].
pub const QUERY: &str = "query-device-unplug-requests";

/// The guest refuses to give a device back.
pub const REFUSED: &str = "DEVICE_UNPLUG_GUEST_ERROR";
/// A device is gone.
pub const DELETED: &str = "DEVICE_DELETED";

/// The data of [`REFUSED`] and [`DELETED`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Told {
    /// The id that the device was added with, if it has one.
    #[serde(deserialize_with = "if_fit")]
    pub device: Option<String>,
    /// Its QOM path.
    #[serde(deserialize_with = "if_fit")]
    pub path: Option<String>,
    /// The request that is refused.
    #[serde(deserialize_with = "if_fit")]
    pub request: Option<u64>,
    /// How sure it is that this is about that request.
    #[serde(deserialize_with = "if_fit")]
    pub source: Option<Source>,
    /// Why, as a number.
    #[serde(deserialize_with = "if_fit")]
    pub reason_code: Option<u64>,
    /// Why, by name.
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

/// How a refusal came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The guest named the request.
    ReportedByToken,
    /// The guest reported it, and it is charged to the oldest request that fits.
    ReportedInOrder,
    /// The guest did what a refusing guest does.
    Inferred,
}

/// The answer to [`QUERY`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Unplugs {
    /// The classes that a guest can arm.
    #[serde(deserialize_with = "if_fit")]
    pub offered: Option<Vec<String>>,
    /// The classes that it did arm: it answers every request for them.
    #[serde(deserialize_with = "if_fit")]
    pub armed: Option<Vec<String>>,
    /// The number of the latest request.
    #[serde(deserialize_with = "if_fit")]
    pub last_request: Option<u64>,
    /// The requests without an outcome, oldest first.
    #[serde(deserialize_with = "if_fit")]
    pub requests: Option<Vec<Request>>,
}

/// A removal that the guest has not answered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Request {
    /// Its number.
    #[serde(deserialize_with = "if_fit")]
    pub request: Option<u64>,
    /// The device's id.
    #[serde(deserialize_with = "if_fit")]
    pub device: Option<String>,
    /// The device's QOM path.
    #[serde(deserialize_with = "if_fit")]
    pub path: Option<String>,
    /// What it is to the guest.
    #[serde(deserialize_with = "if_fit")]
    pub class: Option<String>,
    /// The guest has announced that it answers this request.
    #[serde(deserialize_with = "if_fit")]
    pub promised: Option<bool>,
    /// The guest has said that it has begun.
    #[serde(deserialize_with = "if_fit")]
    pub started: Option<bool>,
    /// The guest did what a refusing guest does; its word on it is still to come.
    #[serde(deserialize_with = "if_fit")]
    pub hint: Option<bool>,
}

impl Told {
    /// What an event says.
    pub fn of(data: Option<&Value>) -> Self {
        data.and_then(|data| serde_json::from_value(data.clone()).ok()).unwrap_or_default()
    }

    /// Whether it is about the device of this id or path.
    pub fn is_about(&self, device: &str) -> bool {
        self.device.as_deref() == Some(device) || self.path.as_deref() == Some(device)
    }
}

impl Request {
    /// Whether it is for the device of this id or path.
    pub fn is_for(&self, device: &str) -> bool {
        self.device.as_deref() == Some(device) || self.path.as_deref() == Some(device)
    }
}

fn if_fit<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stock_event_tells_device_and_path() {
        let told = Told::of(Some(&json!({ "device": "d", "path": "/machine/peripheral/d" })));
        assert!(told.is_about("d") && told.is_about("/machine/peripheral/d") && !told.is_about("e"));
        assert_eq!(told, Told { device: told.device.clone(), path: told.path.clone(), ..Told::default() });
    }

    #[test]
    fn member_of_another_type_counts_as_not_told_and_harms_no_other() {
        let told = Told::of(Some(&json!({ "device": 5, "reason": ["a"], "source": "guessed", "reason-code": 6 })));
        assert_eq!(told, Told { reason_code: Some(6), ..Told::default() });
    }

    #[test]
    fn request_that_is_told_otherwise_does_not_hide_what_is_armed() {
        let unplugs: Unplugs = serde_json::from_value(json!({ "armed": ["cpu"], "requests": 3, "new": {} })).unwrap();
        assert_eq!(unplugs, Unplugs { armed: Some(vec!["cpu".into()]), ..Unplugs::default() });
    }
}
