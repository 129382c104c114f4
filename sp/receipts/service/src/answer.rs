// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of an answer, collected as they come: no memory is taken for them before there are any.

use crate::protocol::{PART_HEADER, PartWriter, Tag};
use alloc::vec::Vec;

/// An answer in the making.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    room: usize,
}

impl Answer {
    /// Starts one for which the caller has so much room.
    pub(crate) fn new(room: u32) -> Self {
        Self { bytes: Vec::new(), room: room as usize }
    }

    /// Adds a part. `None` if there is no room for it; then nothing was added.
    pub(crate) fn add(&mut self, tag: Tag, value: &[u8]) -> Option<()> {
        let (start, size) = (self.bytes.len(), value.len().checked_next_multiple_of(PART_HEADER)? + PART_HEADER);
        let end = start.checked_add(size).filter(|end| *end <= self.room)?;
        self.bytes.try_reserve_exact(size).ok()?;
        self.bytes.resize(end, 0);
        PartWriter::new(self.bytes.get_mut(start..)?).add(tag, value)
    }

    /// Gives the parts.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
