// SPDX-License-Identifier: MIT OR Apache-2.0

//! "newc" archives, which the kernel unpacks as its first root file system. See Linux
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{self, Write};

const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFREG: u32 = 0o100_000;

/// Archive that is being written.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// Adds a directory. Parent directories must be added first.
    pub fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, S_IFDIR | 0o755, (0, 0), &[])
    }

    /// Adds a character device.
    pub fn device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        self.entry(name, S_IFCHR | 0o600, (major, minor), &[])
    }

    /// Adds a file with these permissions.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(name, S_IFREG | mode, (0, 0), content)
    }

    /// Writes the end mark and returns the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} does not fit into cpio"));
        let size = u32::try_from(content.len()).map_err(too_long)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_long)?;
        // Inode numbers only tell hard links apart, so consecutive numbers will do. Owner and times are zero.
        let inode = self.entries;
        self.entries += 1;
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        let mut head = b"070701".to_vec();
        for field in fields {
            head.extend(format!("{field:08X}").as_bytes());
        }
        head.extend(name.as_bytes());
        head.push(0);
        self.padded(&head)?;
        self.padded(content)
    }

    /// Writes `bytes` and pads them with zeros to a multiple of four bytes.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_of_one_file_is_byte_exact() {
        let mut archive = Archive::new(Vec::new());
        archive.file("init", 0o755, b"hello").unwrap();
        let bytes = archive.finish().unwrap();
        let expected = "070701\
            00000000\
            000081ED\
            00000000\
            00000000\
            00000001\
            00000000\
            00000005\
            00000000\
            00000000\
            00000000\
            00000000\
            00000005\
            00000000\
            init\0\0\
            hello\0\0\0\
            070701\
            00000001\
            00000000\
            00000000\
            00000000\
            00000001\
            00000000\
            00000000\
            00000000\
            00000000\
            00000000\
            00000000\
            0000000B\
            00000000\
            TRAILER!!!\0\0\0\0";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn device_and_directory_carry_their_type() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("dev").unwrap();
        archive.device("dev/console", 5, 1).unwrap();
        let text = String::from_utf8(archive.finish().unwrap()).unwrap();
        assert_eq!(&text[14..22], "000041ED");
        let console = &text[text.find("dev/console").unwrap() - 110..];
        assert_eq!(&console[14..22], "00002180");
        assert_eq!(&console[78..94], "0000000500000001");
    }
}
