// SPDX-License-Identifier: MIT OR Apache-2.0

//! The QEMU Machine Protocol, as a client speaks it: bytes to [lines](mod@line), lines to [`message`]s, and messages to
//! what the [`session`] was waiting for.
//!
//! Nothing here connects, writes, or keeps the pace; its users do. Members and events that nobody knows are kept,
//! because a client of QMP has to accept them (QEMU `docs/interop/qmp-spec.rst`), and because new ones are what this
//! project is about. That is why it is not done with a crate that is generated from one version of QEMU's schema.
//!
//! ```
//! use papr_unplug_qmp::{message::Message, session::Session};
//! use serde_json::json;
//!
//! let mut session = Session::default(); assert_eq!(session.command("query-status", &json!({})),
//! "{\"arguments\":{},\"execute\":\"query-status\",\"id\":1}\n");
//!
//! let event = session.file(Message::parse(r#"{"event":"DEVICE_DELETED","data":{"device":"dimm1","new":7}}"#)?);
//! assert_eq!(event.unwrap().data("new"), Some(&json!(7)));
//! assert_eq!(session.answer(), None);
//!
//! session.file(Message::parse(r#"{"return":{"status":"running"},"id":1}"#)?);
//! assert_eq!(session.answer(), Some(Ok(json!({"status": "running"}))));
//! # Ok::<(), papr_unplug_qmp::message::NoMessage>(())
//! ```

#![forbid(unsafe_code)]

pub mod line;
pub mod message;
pub mod session;
