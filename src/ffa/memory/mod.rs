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

/// Reads `N` bytes at `at`.
fn bytes<const N: usize>(from: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    at.checked_add(N).and_then(|end| from.get(at..end)).and_then(|s| s.try_into().ok()).ok_or(Malformed::Length)
}

fn u16_at(from: &[u8], at: usize) -> Result<u16, Malformed> {
    bytes(from, at).map(u16::from_le_bytes)
}

fn u32_at(from: &[u8], at: usize) -> Result<u32, Malformed> {
    bytes(from, at).map(u32::from_le_bytes)
}

fn u64_at(from: &[u8], at: usize) -> Result<u64, Malformed> {
    bytes(from, at).map(u64::from_le_bytes)
}
