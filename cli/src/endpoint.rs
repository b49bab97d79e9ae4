// SPDX-License-Identifier: MIT OR Apache-2.0

//! Address of a VM.

use crate::{domain::DomainName, escape::escaped};
use anyhow::Result;
use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixStream},
        },
    },
    path::PathBuf,
};

/// Address of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// QMP server at a Unix socket in the file system.
    Path(PathBuf),
    /// QMP server at a Unix socket in Linux's abstract namespace.
    Abstract(Vec<u8>),
    /// QMP server at `HOST:PORT`.
    Tcp(String),
    /// Domain of libvirt.
    Domain(DomainName),
}

/// Reader and writer of a connection.
pub type Halves = (Box<dyn Read + Send>, Box<dyn Write + Send>);

impl Endpoint {
    /// Connects. Blocks while the server's backlog is full, or libvirt takes its time.
    pub fn connect(&self) -> Result<Halves> {
        let stream = match self {
            Self::Path(path) => UnixStream::connect(path),
            Self::Abstract(name) => {
                SocketAddr::from_abstract_name(name).and_then(|name| UnixStream::connect_addr(&name))
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).map_err(|error| self.explained(error))?;
                return Ok((Box::new(stream.try_clone()?), Box::new(stream)));
            }
            Self::Domain(domain) => Ok(domain.connect()?),
        };
        let stream = stream.map_err(|error| self.explained(error))?;
        Ok((Box::new(stream.try_clone()?), Box::new(stream)))
    }

    /// Returns what may keep the VM from greeting.
    pub fn obstacle(&self) -> &'static str {
        match self {
            Self::Domain(_) => "still waiting for libvirt",
            Self::Path(_) | Self::Abstract(_) | Self::Tcp(_) => {
                "still waiting for the VM's greeting. A QMP socket serves one program at a time: another program, such as \
                 libvirt, may hold it. A VM can have a second socket: -qmp unix:PATH,server=on,wait=off. --domain \
                 reaches a domain of libvirt's without one"
            }
        }
    }

    /// Adds to an error what the user can do about it.
    fn explained(&self, error: io::Error) -> anyhow::Error {
        let fix = match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no such socket; QEMU creates one with -qmp unix:PATH,server=on,wait=off"
            }
            io::ErrorKind::ConnectionRefused => "no VM listens there; it may have ended",
            io::ErrorKind::PermissionDenied => "run this as the user that the VM runs as, or as root",
            _ => "check the address",
        };
        anyhow::Error::new(error).context(format!("cannot connect to {self}: {fix}"))
    }
}

/// Parses an address. Paths and abstract names are bytes; `HOST:PORT` is text.
impl TryFrom<OsString> for Endpoint {
    type Error = &'static str;

    fn try_from(text: OsString) -> Result<Self, Self::Error> {
        let bytes = text.as_bytes();
        Ok(if let Some(address) = bytes.strip_prefix(b"tcp:") {
            Self::Tcp(str::from_utf8(address).map_err(|_| "HOST:PORT is not UTF-8")?.to_owned())
        } else if let Some(name) = bytes.strip_prefix(b"@") {
            Self::Abstract(name.to_owned())
        } else {
            Self::Path(OsStr::from_bytes(bytes.strip_prefix(b"unix:").unwrap_or(bytes)).into())
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(&escaped(&path.to_string_lossy())),
            Self::Abstract(name) => write!(f, "@{}", escaped(&String::from_utf8_lossy(name))),
            Self::Tcp(address) => write!(f, "tcp:{}", escaped(address)),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_parsed_in_each_of_qemus_forms() {
        let cases = [
            ("/run/vm.qmp", Endpoint::Path("/run/vm.qmp".into())),
            ("unix:vm.qmp", Endpoint::Path("vm.qmp".into())),
            ("@vm", Endpoint::Abstract("vm".into())),
            ("tcp:[::1]:4444", Endpoint::Tcp("[::1]:4444".into())),
        ];
        for (text, endpoint) in cases {
            assert_eq!(OsString::from(text).try_into(), Ok(endpoint));
        }
    }

    #[test]
    fn path_and_abstract_name_need_not_be_utf_8() {
        let parse = |bytes: &[u8]| Endpoint::try_from(OsStr::from_bytes(bytes).to_owned());
        assert_eq!(parse(b"/\xff"), Ok(Endpoint::Path(OsStr::from_bytes(b"/\xff").into())));
        assert_eq!(parse(b"@\xff"), Ok(Endpoint::Abstract(b"\xff".into())));
        assert!(parse(b"tcp:\xff:1").is_err());
    }
}
