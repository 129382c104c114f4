// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management wire formats (DEN0077A v1.1, chapter 10; the v1.0 forms where they differ; v1.2 access
//! descriptors). Everything is little-endian; offsets are bytes.

mod attributes;
mod region;
mod relinquish;
#[cfg(test)]
mod tests;

pub use attributes::{Attributes, Data, Flags, Instruction, MemoryKind, Permissions};
pub use region::{Access, Composite, Form, Range, Ranges, Region, ResponseWriter};
pub use relinquish::Relinquish;

/// Bytes in a constituent memory region descriptor, and in a composite memory region descriptor.
pub const RANGE_SIZE: usize = 16;

/// Says what is wrong with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the descriptor does, or a length disagrees with the parts.
    Length,
    /// A field that must be zero is not.
    Reserved,
    /// An offset is unaligned, or points into another part.
    Offset,
    /// The size of an access descriptor is not one that the caller's version has.
    AccessSize,
    /// A permission has a reserved encoding.
    Permissions,
    /// A memory region attribute has a reserved encoding.
    Attributes,
    /// A range is empty, unaligned, or wraps.
    Range,
}

/// Reads two little-endian 64-bit words at `at`: descriptors are made of such pairs, two 32-bit fields in most words.
#[inline(always)]
fn pair(from: &[u8], at: usize) -> Result<[u64; 2], Malformed> {
    let bits = u128::from_le_bytes(*piece(from, at).ok_or(Malformed::Length)?);
    Ok([bits as u64, (bits >> 64) as u64])
}

#[inline(never)]
fn piece(from: &[u8], at: usize) -> Option<&[u8; 16]> {
    from.get(at..)?.first_chunk()
}

/// Returns the upper half of a word.
const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}
