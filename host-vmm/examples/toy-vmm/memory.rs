// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest memory, which begins at address 0.

/// Memory that the guest and its user name addresses in. Nothing outside it is read or written.
pub(crate) struct Memory(Vec<u8>);

impl Memory {
    /// Returns memory of this number of bytes, all zero.
    pub(crate) fn new(size: usize) -> Self {
        Self(vec![0; size])
    }

    /// Returns bytes of the memory; `None` if not all of them are in it.
    pub(crate) fn read(&self, address: u64, length: u64) -> Option<&[u8]> {
        let first = usize::try_from(address).ok()?;
        self.0.get(first..first.checked_add(usize::try_from(length).ok()?)?)
    }

    /// Writes bytes; `None` if not all of them would be in the memory.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Option<()> {
        let first = usize::try_from(address).ok()?;
        self.0.get_mut(first..first.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        Some(())
    }

    /// Reads big endian cells.
    pub(crate) fn cells(&self, address: u64, count: u64) -> Option<Vec<u32>> {
        let bytes = self.read(address, count.checked_mul(4)?)?;
        bytes.chunks_exact(4).map(|cell| Some(u32::from_be_bytes(cell.try_into().ok()?))).collect()
    }
}

/// Returns cells as big endian bytes.
pub(crate) fn bytes(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}
