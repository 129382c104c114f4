// SPDX-License-Identifier: MIT OR Apache-2.0
//! Permissions, memory region attributes and flags (DEN0077A v1.1, tables 10.15, 10.18, 10.21 to 10.23).

use super::Malformed;

/// Data access of an endpoint, bits 1:0 of the permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Data {
    /// Left to the other side, or to the relayer.
    NotSpecified = 0,
    /// Loads.
    ReadOnly = 1,
    /// Loads and stores.
    ReadWrite = 2,
}

/// Instruction access of an endpoint, bits 3:2 of the permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Instruction {
    /// Left to the other side, or to the relayer.
    NotSpecified = 0,
    /// No fetches.
    NotExecutable = 1,
    /// Fetches.
    Executable = 2,
}

/// Memory access permissions of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Loads and stores.
    pub data: Data,
    /// Fetches.
    pub instruction: Instruction,
}

impl Permissions {
    /// Decodes the byte; bits 7:4 must be zero.
    pub const fn decode(bits: u8) -> Result<Self, Malformed> {
        let data = match bits & 3 {
            0 => Data::NotSpecified,
            1 => Data::ReadOnly,
            2 => Data::ReadWrite,
            // Reserved.
            _ => return Err(Malformed::Permissions),
        };
        let instruction = match bits >> 2 {
            0 => Instruction::NotSpecified,
            1 => Instruction::NotExecutable,
            2 => Instruction::Executable,
            // Reserved, or a reserved bit set.
            _ => return Err(Malformed::Permissions),
        };
        Ok(Self { data, instruction })
    }

    /// Encodes the byte.
    pub const fn bits(self) -> u8 {
        self.data as u8 | (self.instruction as u8) << 2
    }
}

/// Memory types that a descriptor can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Left to the other side.
    NotSpecified,
    /// Normal memory, write-back cacheable, inner shareable: the only normal form that endpoints may use.
    Normal,
    /// Device memory, or normal memory of another cacheability or shareability.
    Other,
}

impl MemoryKind {
    /// Tells whether endpoints may say it of memory that they send or retrieve.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::NotSpecified | Self::Normal)
    }
}

/// Memory region attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Bits 5:0.
    pub kind: MemoryKind,
    /// Bit 6: the memory is Non-secure. Only in a retrieve response.
    pub non_secure: bool,
}

impl Attributes {
    const KIND: u16 = 0x3f;
    /// Bits 5:0 of normal, write-back, inner shareable memory.
    const NORMAL: u16 = 0b10_11_11;
    const NON_SECURE: u16 = 1 << 6;

    /// Decodes the field; bits 15:7 must be zero.
    pub const fn decode(bits: u16) -> Result<Self, Malformed> {
        if bits >> 7 != 0 {
            return Err(Malformed::Reserved);
        }
        let (kind, cacheability, shareability) = (bits >> 4 & 3, bits >> 2 & 3, bits & 3);
        let kind = if bits & Self::KIND == Self::NORMAL {
            MemoryKind::Normal
        } else if kind == 0 {
            MemoryKind::NotSpecified
        } else if kind == 1 || kind == 2 && cacheability & 1 != 0 && shareability != 1 {
            // Of normal memory cacheability 0 and 2, shareability 1 are reserved.
            MemoryKind::Other
        } else {
            return Err(Malformed::Attributes);
        };
        Ok(Self { kind, non_secure: bits & Self::NON_SECURE != 0 })
    }

    /// Encodes normal, write-back, inner shareable memory.
    pub const fn normal_bits(non_secure: bool) -> u16 {
        Self::NORMAL | if non_secure { Self::NON_SECURE } else { 0 }
    }
}

/// Flags of a transaction descriptor; the same numbers serve relinquish and reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// Bit 0: fill with zeroes (donate, lend: before the receiver maps it; relinquish, reclaim: after unmapping).
    pub const ZERO: u32 = 1;
    /// Bit 1: the operation may be time-sliced. It never is: it completes before it could be.
    pub const TIME_SLICE: u32 = 1 << 1;
    /// Bit 2: a retrieve request wants zeroes after its relinquish.
    pub const ZERO_AFTER: u32 = 1 << 2;
    /// Bits 4:3: type of the transaction, in a retrieve request and response.
    pub const TYPE: u32 = 0b11 << 3;
    /// Type: share.
    pub const SHARE: u32 = 1 << 3;
    /// Type: lend.
    pub const LEND: u32 = 2 << 3;
    /// Type: donate.
    pub const DONATE: u32 = 3 << 3;
    /// Bits 8:5: alignment hint, and bit 9: it is valid.
    pub const ALIGNMENT_HINT: u32 = 0x1f << 5;
    /// Bit 10: a retrieve request need not list all borrowers.
    pub const BYPASS_BORROWERS: u32 = 1 << 10;
    /// All bits that a retrieve request may have.
    pub const RETRIEVE: u32 = 0x7ff;

    /// Tells whether any bit of `mask` is set.
    pub const fn has(self, mask: u32) -> bool {
        self.0 & mask != 0
    }
}
