// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flattened device trees (Devicetree specification v0.4, chapter 5): a strict check of the structure, then reading by
//! the `fdt` crate.
//!
//! That crate panics on a tree that is malformed, so [`CheckedBlob::check`] walks all of it first, and is the only way
//! to a [`Tree`]. The check is narrower than the specification: no NOP tokens, ASCII names, bounded depth.

use core::fmt;

use fdt::Fdt;
use fdt::node::FdtNode;

use super::node::word;

/// Largest blob that is read, in bytes.
pub(crate) const MAX_BLOB_SIZE: usize = 64 * 1024;
/// Deepest nesting of nodes, the root being 1: more than any manifest has.
const MAX_DEPTH: usize = 8;
/// Bytes of a version 17 header.
const HEADER_SIZE: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
/// The version of the format that dtc has written since 2007.
const VERSION: usize = 17;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const END: u32 = 9;

/// Says why a slice is not a device tree that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobError {
    /// It ends before its header does.
    Short {
        /// Bytes present.
        bytes: usize,
    },
    /// It does not begin with 0xd00dfeed.
    Magic(u32),
    /// It is not of version 17.
    Version(u32),
    /// The header's total size is less than the header, more than the slice, or more than the limit.
    TotalSize {
        /// The total size claimed.
        total: usize,
        /// The most that it may be here.
        limit: usize,
    },
    /// The structure block is not inside the blob, or not aligned to 4.
    StructBlock,
    /// The strings block is not inside the blob, or overlaps the structure block.
    StringsBlock,
    /// The memory reservation block is not inside the blob, or not aligned to 8.
    ReservationBlock,
    /// The strings block does not end with a NUL.
    StringsEnd,
    /// The strings block holds something that is not printable ASCII.
    StringsText,
    /// The structure block ends in the middle of something, at this offset in it.
    Truncated(usize),
    /// An unexpected token, at this offset in the structure block.
    Token {
        /// The token.
        token: u32,
        /// Its offset.
        at: usize,
    },
    /// A node's name is empty, too long, or not printable ASCII.
    NodeName(usize),
    /// A property's name lies outside the strings block or is empty.
    PropertyName(usize),
    /// Nodes are nested deeper than the limit.
    Depth(usize),
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, number) = match *self {
            Self::Short { bytes } => return write!(f, "{bytes} bytes, expected at least the 40 of a header"),
            Self::Magic(m) => ("expected 0xd00dfeed at the beginning, not", m as usize),
            Self::Version(v) => ("expected version 0x11, not", v as usize),
            Self::TotalSize { total, limit } => {
                return write!(f, "total size {total:#x}, expected {HEADER_SIZE:#x} to {limit:#x}");
            }
            Self::StructBlock => return f.write_str("the structure block lies outside the blob or is misaligned"),
            Self::StringsBlock => {
                return f.write_str("the strings block lies outside the blob or over the structure block");
            }
            Self::ReservationBlock => {
                return f.write_str("the reservation block lies outside the blob or is misaligned");
            }
            Self::StringsEnd => return f.write_str("the strings block does not end with a NUL"),
            Self::StringsText => return f.write_str("the strings block holds a byte that is not printable ASCII"),
            Self::Token { token, at } => {
                return write!(f, "token {:#x} at offset {at:#x} of the structure block", u64::from(token));
            }
            Self::Truncated(at) => ("the structure block breaks off at offset", at),
            Self::NodeName(at) => ("a bad node name at offset", at),
            Self::PropertyName(at) => ("a bad property name at offset", at),
            Self::Depth(at) => ("nodes nested too deep at offset", at),
        };
        write!(f, "{text} {number:#x}")
    }
}

/// A device tree whose structure has been checked: reading it cannot panic.
#[derive(Clone, Copy)]
pub struct CheckedBlob<'a> {
    fdt: Fdt<'a>,
}

impl fmt::Debug for CheckedBlob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedBlob").field("total", &self.size()).finish_non_exhaustive()
    }
}

impl<'a> CheckedBlob<'a> {
    /// Checks a slice that begins with a device tree; what follows its total size is ignored.
    pub fn check(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let (structs, strings) = blocks(bytes)?;
        check_strings(strings)?;
        check_structs(structs, strings)?;
        // It looks at magic and size only, which are right.
        let fdt = Fdt::new(bytes).map_err(|_| BlobError::Magic(0))?;
        Ok(Self { fdt })
    }

    /// Reads the total size that a header claims, so that a caller can map that much before the check.
    pub fn total_size(header: &[u8]) -> Result<usize, BlobError> {
        let (Some(magic), Some(total)) = (word_at(header, 0), word_at(header, 4)) else {
            return Err(BlobError::Short { bytes: header.len() });
        };
        if magic != MAGIC {
            return Err(BlobError::Magic(magic));
        }
        let total = total as usize;
        if !(HEADER_SIZE..=MAX_BLOB_SIZE).contains(&total) {
            return Err(BlobError::TotalSize { total, limit: MAX_BLOB_SIZE });
        }
        Ok(total)
    }

    /// Returns the blob's size in bytes.
    pub fn size(&self) -> usize {
        self.fdt.total_size()
    }

    /// Returns the root node, which every tree that was checked has; its name is empty.
    pub fn root(&self) -> Option<Tree<'_>> {
        let mut root = self.fdt.all_nodes().next()?;
        root.name = "";
        Some(Tree(root))
    }
}

/// A node of a [`CheckedBlob`].
#[derive(Clone, Copy)]
pub struct Tree<'a>(FdtNode<'a, 'a>);

impl<'a> Tree<'a> {
    /// Returns its name; the root's is empty.
    pub const fn name(&self) -> &'a str {
        self.0.name
    }

    /// Returns the names and the values of its properties.
    pub fn properties(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.0.properties().map(|p| (p.name, p.value))
    }

    /// Returns the nodes inside it.
    pub fn children(&self) -> impl Iterator<Item = Self> {
        self.0.children().map(Self)
    }
}

/// Checks the header; returns the structure block and the strings block.
fn blocks(bytes: &[u8]) -> Result<(&[u8], &[u8]), BlobError> {
    if bytes.len() < HEADER_SIZE {
        return Err(BlobError::Short { bytes: bytes.len() });
    }
    let total = CheckedBlob::total_size(bytes)?;
    let Some(blob) = bytes.get(..total) else {
        return Err(BlobError::TotalSize { total, limit: bytes.len().min(MAX_BLOB_SIZE) });
    };
    let mut fields = [0; HEADER_SIZE / 4];
    for (n, field) in fields.iter_mut().enumerate() {
        *field = word(bytes, n) as usize;
    }
    let [_, _, structs_at, strings_at, reservations, version, compatible, _, strings_size, structs_size] = fields;
    if version < VERSION || compatible > VERSION {
        return Err(BlobError::Version(version as u32));
    }
    let block = |start: usize, size: usize| {
        let block = blob.get(start..start.checked_add(size)?)?;
        (start >= HEADER_SIZE).then_some(block)
    };
    let structs = block(structs_at, structs_size).ok_or(BlobError::StructBlock)?;
    if structs_at % 4 != 0 || structs_size % 4 != 0 {
        return Err(BlobError::StructBlock);
    }
    let strings = block(strings_at, strings_size).ok_or(BlobError::StringsBlock)?;
    if strings_at < structs_at + structs_size && structs_at < strings_at + strings_size {
        return Err(BlobError::StringsBlock);
    }
    if block(reservations, 16).is_none() || reservations % 8 != 0 {
        return Err(BlobError::ReservationBlock);
    }
    Ok((structs, strings))
}

/// Reads the word at an offset that is a multiple of 4.
fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.as_chunks::<4>().0.get(at / 4).map(|word| u32::from_be_bytes(*word))
}

fn check_strings(strings: &[u8]) -> Result<(), BlobError> {
    if strings.last().is_some_and(|&b| b != 0) {
        return Err(BlobError::StringsEnd);
    }
    if strings.iter().any(|&b| b != 0 && !b.is_ascii_graphic()) {
        return Err(BlobError::StringsText);
    }
    Ok(())
}

/// Checks each token, and their order: one root without a name, in each node first properties, then nodes, at the end
/// END alone.
#[inline(never)]
fn check_structs(structs: &[u8], strings: &[u8]) -> Result<(), BlobError> {
    let (mut at, mut depth) = (0, 0);
    // Whether a property may come next: not after a node has ended.
    let mut properties = false;
    loop {
        let start = at;
        let token = word_at(structs, at).ok_or(BlobError::Truncated(at))?;
        let unexpected = Err(BlobError::Token { token, at });
        // No sum here overflows: `at` is in the blob, and a length has 32 bits.
        at += 4;
        // What follows, padded to a multiple of 4: a name or a value.
        let length = match token {
            BEGIN_NODE => {
                let name = until_nul(structs, at).ok_or(BlobError::Truncated(at))?;
                if depth == 0 && start != 0 {
                    return unexpected;
                }
                if depth == MAX_DEPTH {
                    return Err(BlobError::Depth(start));
                }
                let bad = name.iter().any(|&b| !b.is_ascii_graphic() || b == b'/');
                if bad || name.is_empty() != (depth == 0) || name.len() > 63 {
                    return Err(BlobError::NodeName(at));
                }
                depth += 1;
                properties = true;
                name.len() + 1
            }
            END_NODE if depth != 0 => {
                depth -= 1;
                properties = false;
                0
            }
            PROP if properties => {
                let (Some(length), Some(name)) = (word_at(structs, at), word_at(structs, at + 4)) else {
                    return Err(BlobError::Truncated(at));
                };
                // The strings block ends with a NUL, so every offset inside it begins a terminated name.
                if strings.get(name as usize).is_none_or(|&b| b == 0) {
                    return Err(BlobError::PropertyName(at));
                }
                at += 8;
                length as usize
            }
            END if depth == 0 && start != 0 && at == structs.len() => return Ok(()),
            // NOP (4) among them.
            _ => return unexpected,
        };
        let next = at + length.next_multiple_of(4);
        if next > structs.len() {
            return Err(BlobError::Truncated(at));
        }
        at = next;
    }
}

/// Returns the bytes at an offset up to the next NUL.
fn until_nul(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    rest.get(..rest.iter().position(|&b| b == 0)?)
}
