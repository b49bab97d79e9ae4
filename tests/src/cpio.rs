// SPDX-License-Identifier: MIT OR Apache-2.0

//! Archives that the kernel unpacks as its first root file system ("newc", see Linux
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use cpio::newc::{Builder, ModeFileType, trailer};
use std::io::{self, Write};

/// Archive that is being written.
#[derive(Debug)]
pub struct Archive<W>(W);

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self(out)
    }

    /// Adds a directory. Parent directories must be added first.
    pub fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(Builder::new(name).mode(0o755).set_mode_file_type(ModeFileType::Directory), &[])
    }

    /// Adds a character device.
    pub fn device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        let device = Builder::new(name).mode(0o600).set_mode_file_type(ModeFileType::Char);
        self.entry(device.rdev_major(major).rdev_minor(minor), &[])
    }

    /// Adds a file with these permissions.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(Builder::new(name).mode(mode).set_mode_file_type(ModeFileType::Regular), content)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        let link = Builder::new(name).mode(0o777).set_mode_file_type(ModeFileType::Symlink);
        self.entry(link, target.as_bytes())
    }

    /// Writes the end mark and returns the writer.
    pub fn finish(self) -> io::Result<W> {
        trailer(self.0)
    }

    /// Writes an entry. Inode numbers only tell hard links apart, and no entry is one. Owner and times are zero.
    fn entry(&mut self, entry: Builder, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut entry = entry.nlink(1).write(&mut self.0, size);
        entry.write_all(content)?;
        entry.finish().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::NewcReader;

    #[test]
    fn archive_holds_directory_device_file_and_link_in_their_order() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("dev").unwrap();
        archive.device("dev/console", 5, 1).unwrap();
        archive.file("init", 0o755, b"hello").unwrap();
        archive.link("sbin", "hello").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0, "the kernel unpacks concatenated archives at multiples of four bytes");

        let mut found = Vec::new();
        let mut rest = bytes.as_slice();
        loop {
            let reader = NewcReader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            found.push((entry.name().to_owned(), entry.mode(), entry.rdev_major(), entry.rdev_minor()));
            let mut content = Vec::new();
            rest = reader.to_writer(&mut content).unwrap();
            assert_eq!(content, if found.len() >= 3 { b"hello".as_slice() } else { b"" });
        }
        let expected = [
            ("dev", 0o040_755, 0, 0),
            ("dev/console", 0o020_600, 5, 1),
            ("init", 0o100_755, 0, 0),
            ("sbin", 0o120_777, 0, 0),
        ];
        assert_eq!(found, expected.map(|(name, mode, major, minor)| (name.to_owned(), mode, major, minor)));
    }
}
