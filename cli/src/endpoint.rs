// SPDX-License-Identifier: MIT OR Apache-2.0

//! Address of a VM's monitor.

use anyhow::Result;
use std::{
    convert::Infallible,
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
    path::PathBuf,
    str::FromStr,
};

/// Address of a QMP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Unix socket in the file system.
    Path(PathBuf),
    /// Unix socket in Linux's abstract namespace.
    Abstract(String),
    /// `HOST:PORT`.
    Tcp(String),
}

/// Reader and writer of a connection.
pub type Halves = (Box<dyn Read + Send>, Box<dyn Write + Send>);

impl Endpoint {
    /// Connects. Blocks while the server's backlog is full.
    pub fn connect(&self) -> Result<Halves> {
        self.open().map_err(|error| self.explained(error))
    }

    fn open(&self) -> io::Result<Halves> {
        let stream = match self {
            Self::Path(path) => UnixStream::connect(path)?,
            Self::Abstract(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                return Ok((Box::new(stream.try_clone()?), Box::new(stream)));
            }
        };
        Ok((Box::new(stream.try_clone()?), Box::new(stream)))
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

impl FromStr for Endpoint {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if let Some(address) = text.strip_prefix("tcp:") {
            Self::Tcp(address.to_owned())
        } else if let Some(name) = text.strip_prefix('@') {
            Self::Abstract(name.to_owned())
        } else {
            Self::Path(text.strip_prefix("unix:").unwrap_or(text).into())
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
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
            assert_eq!(text.parse(), Ok(endpoint));
        }
    }
}
