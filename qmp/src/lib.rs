// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU Machine Protocol (QMP) for clients: bytes to [lines](mod@line), lines to [`message`]s, and messages to the
//! answers that a [`session`] waits for.
//!
//! The crate does no I/O of its own except reading a line from a stream that the caller opened. Unknown members and
//! events are kept: QMP requires it of a client (QEMU `docs/interop/qmp-spec.rst`), and the members that this project
//! adds are unknown to stock QEMU. A crate that is generated from one version of QEMU's schema would drop them.
//!
//! ```
//! use papr_unplug_qmp::{message::Message, session::Session};
//! use serde_json::json;
//!
//! let mut session = Session::default();
//! let line = session.command("query-status", &json!({}));
//! assert_eq!(line, "{\"arguments\":{},\"execute\":\"query-status\",\"id\":1}\n");
//!
//! let event = session.receive(Message::parse(r#"{"event":"DEVICE_DELETED","data":{"device":"dimm1","new":7}}"#)?);
//! assert_eq!(event.unwrap().data("new"), Some(&json!(7)));
//! assert_eq!(session.answer(), None);
//!
//! session.receive(Message::parse(r#"{"return":{"status":"running"},"id":1}"#)?);
//! assert_eq!(session.answer(), Some(Ok(json!({"status": "running"}))));
//! # Ok::<(), papr_unplug_qmp::message::ParseError>(())
//! ```

#![forbid(unsafe_code)]

pub mod line;
pub mod message;
pub mod session;
