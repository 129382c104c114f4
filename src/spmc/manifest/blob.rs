// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strict structural check of a flattened device tree, before the `fdt` crate reads it.
//!
//! `fdt` trusts what it is given: offsets, terminators and the order of tokens. After this check every
//! assumption that it makes holds, so reading a [`CheckedBlob`] cannot panic. The check is narrower than the
//! Devicetree specification (v0.4, chapter 5) where `fdt` is: no NOP tokens, ASCII names, bounded depth.

use core::fmt;

use fdt::Fdt;

/// Largest blob that is read, in bytes.
pub(crate) const MAX_BLOB_SIZE: usize = 64 * 1024;
/// Deepest nesting of nodes, the root being 1: `fdt` skips nodes by recursion.
const MAX_DEPTH: usize = 8;
/// Bytes of a version 17 header.
const HEADER_SIZE: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
/// The version of the format that dtc has written since 2007.
const VERSION: u32 = 17;

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
        match *self {
            Self::Short { bytes } => write!(f, "{bytes} bytes, expected at least the {HEADER_SIZE} of a header"),
            Self::Magic(m) => write!(f, "it begins with {m:#010x}, expected {MAGIC:#010x}"),
            Self::Version(v) => write!(f, "version {v}, expected {VERSION}"),
            Self::TotalSize { total, limit } => {
                write!(f, "total size {total:#x}, expected {HEADER_SIZE:#x} to {limit:#x}")
            }
            Self::StructBlock => f.write_str("the structure block lies outside the blob or is misaligned"),
            Self::StringsBlock => f.write_str("the strings block lies outside the blob or over the structure block"),
            Self::ReservationBlock => f.write_str("the reservation block lies outside the blob or is misaligned"),
            Self::StringsEnd => f.write_str("the strings block does not end with a NUL"),
            Self::StringsText => f.write_str("the strings block holds a byte that is not printable ASCII"),
            Self::Truncated(at) => write!(f, "the structure block breaks off at offset {at:#x}"),
            Self::Token { token, at } => write!(f, "token {token:#x} at offset {at:#x} of the structure block"),
            Self::NodeName(at) => write!(f, "a bad node name at offset {at:#x} of the structure block"),
            Self::PropertyName(at) => write!(f, "a bad property name at offset {at:#x} of the structure block"),
            Self::Depth(at) => write!(f, "nodes nested deeper than {MAX_DEPTH} at offset {at:#x}"),
        }
    }
}

/// A device tree whose structure has been checked: reading it cannot panic.
#[derive(Clone, Copy)]
pub struct CheckedBlob<'a> {
    fdt: Fdt<'a>,
    total: usize,
}

impl fmt::Debug for CheckedBlob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedBlob").field("total", &self.total).finish_non_exhaustive()
    }
}

impl<'a> CheckedBlob<'a> {
    /// Checks a slice that begins with a device tree; what follows its total size is ignored.
    pub fn check(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let header = Header::read(bytes)?;
        let blob = bytes.get(..header.total).ok_or(BlobError::Short { bytes: bytes.len() })?;
        let structs = blob.get(header.structs.0..header.structs.1).ok_or(BlobError::StructBlock)?;
        let strings = blob.get(header.strings.0..header.strings.1).ok_or(BlobError::StringsBlock)?;
        check_strings(strings)?;
        check_structs(structs, strings)?;
        // What `Fdt::new` checks itself has been checked: it cannot fail here.
        let fdt = Fdt::new(blob).map_err(|_| BlobError::Magic(0))?;
        Ok(Self { fdt, total: header.total })
    }

    /// Reads the total size that a header claims, so that a caller can map that much before the check.
    pub fn total_size(header: &[u8]) -> Result<usize, BlobError> {
        if word(header, 0).ok_or(BlobError::Short { bytes: header.len() })? != MAGIC {
            return Err(BlobError::Magic(word(header, 0).unwrap_or(0)));
        }
        let total = offset(header, 4).ok_or(BlobError::Short { bytes: header.len() })?;
        if !(HEADER_SIZE..=MAX_BLOB_SIZE).contains(&total) {
            return Err(BlobError::TotalSize { total, limit: MAX_BLOB_SIZE });
        }
        Ok(total)
    }

    /// Returns the blob's size in bytes.
    pub const fn size(&self) -> usize {
        self.total
    }

    /// Lends the tree. Its iterators over properties and children, from the root on, cannot panic.
    pub const fn tree(&self) -> &Fdt<'a> {
        &self.fdt
    }
}

/// The header's fields that matter, each range as (start, end) inside the blob.
struct Header {
    total: usize,
    structs: (usize, usize),
    strings: (usize, usize),
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, BlobError> {
        let short = BlobError::Short { bytes: bytes.len() };
        if bytes.len() < HEADER_SIZE {
            return Err(short);
        }
        let field = |at| offset(bytes, at).ok_or(short);
        let total = CheckedBlob::total_size(bytes)?;
        if total > bytes.len() {
            return Err(BlobError::TotalSize { total, limit: bytes.len().min(MAX_BLOB_SIZE) });
        }
        let version = word(bytes, 20).ok_or(short)?;
        let compatible = word(bytes, 24).ok_or(short)?;
        if version < VERSION || compatible > VERSION {
            return Err(BlobError::Version(version));
        }
        let range = |start: usize, size: usize| {
            let end = start.checked_add(size)?;
            (start >= HEADER_SIZE && end <= total).then_some((start, end))
        };
        let structs = range(field(8)?, field(36)?).ok_or(BlobError::StructBlock)?;
        if structs.0 % 4 != 0 || structs.1 % 4 != 0 {
            return Err(BlobError::StructBlock);
        }
        let strings = range(field(12)?, field(32)?).ok_or(BlobError::StringsBlock)?;
        if strings.0 < structs.1 && structs.0 < strings.1 {
            return Err(BlobError::StringsBlock);
        }
        let reservations = field(16)?;
        if range(reservations, 16).is_none() || reservations % 8 != 0 {
            return Err(BlobError::ReservationBlock);
        }
        Ok(Self { total, structs, strings })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(word(bytes, at)?).ok()
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

/// Walks the tokens: one root without a name, in each node first properties, then nodes, at the end END alone.
fn check_structs(structs: &[u8], strings: &[u8]) -> Result<(), BlobError> {
    let mut at = 0usize;
    let mut depth = 0usize;
    // Whether a property may come next: not after a node has ended.
    let mut properties = false;
    loop {
        let token = word(structs, at).ok_or(BlobError::Truncated(at))?;
        let body = at.saturating_add(4);
        let outside = BlobError::Token { token, at };
        match token {
            BEGIN_NODE => {
                if depth == 0 && at != 0 {
                    return Err(outside);
                }
                if depth == MAX_DEPTH {
                    return Err(BlobError::Depth(at));
                }
                at = node_name(structs, body, depth == 0)?;
                depth = depth.saturating_add(1);
                properties = true;
            }
            END_NODE => {
                depth = depth.checked_sub(1).ok_or(outside)?;
                at = body;
                properties = false;
            }
            PROP => {
                if !properties {
                    return Err(outside);
                }
                at = property(structs, strings, body)?;
            }
            END => {
                let alone = depth == 0 && at != 0 && body == structs.len();
                return if alone { Ok(()) } else { Err(outside) };
            }
            // NOP (4) among them: `fdt` loses the properties and nodes that follow one.
            _ => return Err(outside),
        }
    }
}

/// Checks the name at `at`; returns the offset of the next token.
fn node_name(structs: &[u8], at: usize, root: bool) -> Result<usize, BlobError> {
    let rest = structs.get(at..).ok_or(BlobError::Truncated(at))?;
    let length = rest.iter().position(|&b| b == 0).ok_or(BlobError::Truncated(at))?;
    let name = rest.get(..length).ok_or(BlobError::Truncated(at))?;
    let good = name.iter().all(|&b| b.is_ascii_graphic() && b != b'/');
    if !good || name.is_empty() != root || length > 63 {
        return Err(BlobError::NodeName(at));
    }
    padded(at, length.saturating_add(1), structs.len())
}

/// Checks the property whose length and name offset are at `at`; returns the offset of the next token.
fn property(structs: &[u8], strings: &[u8], at: usize) -> Result<usize, BlobError> {
    let cut = BlobError::Truncated(at);
    let length = offset(structs, at).ok_or(cut)?;
    let name = offset(structs, at.saturating_add(4)).ok_or(cut)?;
    // The strings block ends with a NUL, so every offset inside it begins a terminated name.
    if strings.get(name).is_none_or(|&b| b == 0) {
        return Err(BlobError::PropertyName(at));
    }
    padded(at.saturating_add(8), length, structs.len())
}

/// Returns the next multiple of 4 after `length` bytes at `at`, if it is inside `limit`.
fn padded(at: usize, length: usize, limit: usize) -> Result<usize, BlobError> {
    let end = at.checked_add(length).and_then(|e| e.checked_next_multiple_of(4));
    end.filter(|&e| e <= limit).ok_or(BlobError::Truncated(at))
}
