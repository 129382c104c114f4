// SPDX-License-Identifier: MIT OR Apache-2.0
//! The descriptor of `FFA_MEM_RELINQUISH` (DEN0077A v1.1, table 16.25).

use super::{Flags, Malformed, high, pair};
use crate::{Handle, PartitionId};

/// Names a transaction and the one endpoint that gives it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relinquish {
    /// The transaction.
    pub handle: Handle,
    /// [`Flags::ZERO`], [`Flags::TIME_SLICE`].
    pub flags: Flags,
    /// Who gives it up.
    pub endpoint: PartitionId,
}

impl Relinquish {
    /// Bytes of a descriptor with one endpoint: the only number that has a meaning without stream endpoints.
    pub const SIZE: usize = 18;

    /// Decodes a descriptor; it must name exactly one endpoint.
    pub fn decode(from: &[u8]) -> Result<Self, Malformed> {
        let [handle, flags_and_count] = pair(from, 0)?;
        let (_, endpoints) = from.split_at_checked(16).ok_or(Malformed::Length)?;
        let [low, top, ..] = *endpoints else { return Err(Malformed::Length) };
        if high(flags_and_count) != 1 {
            return Err(Malformed::Length);
        }
        Ok(Self {
            handle: Handle(handle),
            flags: Flags(flags_and_count as u32),
            endpoint: PartitionId(u16::from_le_bytes([low, top])),
        })
    }

    /// Encodes the descriptor.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let fields = self.handle.0.to_le_bytes().into_iter().chain(self.flags.0.to_le_bytes());
        let fields = fields.chain(1u32.to_le_bytes()).chain(self.endpoint.0.to_le_bytes());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        out
    }
}
