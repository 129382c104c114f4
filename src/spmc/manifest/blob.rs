// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flattened device trees (Devicetree specification v0.4, chapter 5): a strict check of the structure, then reading by
//! the `fdt` crate.
//!
//! That crate panics on a tree that is malformed, so [`CheckedBlob::check`] walks all of it first, and is the only way
//! to a [`Tree`]. The check is narrower than the specification: no NOP tokens, ASCII names, bounded depth.

use core::fmt;

use fdt::Fdt;
use fdt::node::FdtNode;

/// Largest blob that is read, in bytes.
pub(crate) const MAX_BLOB_SIZE: usize = 64 * 1024;
/// Deepest nesting of nodes, the root being 1: more than any manifest has.
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
        let (what, at) = match *self {
            Self::Short { bytes } => {
                return write!(f, "{bytes} bytes, expected at least the {HEADER_SIZE} of a header");
            }
            Self::Magic(m) => {
                return write!(f, "it begins with {:#010x}, expected {:#010x}", u64::from(m), u64::from(MAGIC));
            }
            Self::Version(v) => return write!(f, "version {}, expected {}", u64::from(v), u64::from(VERSION)),
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
                write!(f, "token {:#x}", u64::from(token))?;
                ("", at)
            }
            Self::Truncated(at) => ("it breaks off", at),
            Self::NodeName(at) => ("a bad node name", at),
            Self::PropertyName(at) => ("a bad property name", at),
            Self::Depth(at) => ("nodes nested too deep", at),
        };
        write!(f, "{what} at offset {at:#x} of the structure block")
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
        let header = Header::read(bytes)?;
        let structs = bytes.get(header.structs.0..header.structs.1).ok_or(BlobError::StructBlock)?;
        let strings = bytes.get(header.strings.0..header.strings.1).ok_or(BlobError::StringsBlock)?;
        check_strings(strings)?;
        check_structs(Tokens { structs, strings, at: 0 })?;
        // It looks at magic and size only, which are right.
        let fdt = Fdt::new(bytes).map_err(|_| BlobError::Magic(0))?;
        Ok(Self { fdt })
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

/// The header's fields that matter, each range as (start, end) inside the blob.
struct Header {
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
        Ok(Self { structs, strings })
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

/// Checks the order of tokens: one root without a name, in each node first properties, then nodes, at the end END
/// alone.
fn check_structs(mut tokens: Tokens<'_>) -> Result<(), BlobError> {
    let mut depth = 0usize;
    // Whether a property may come next: not after a node has ended.
    let mut properties = false;
    loop {
        let at = tokens.at;
        let token = tokens.next()?;
        let outside = BlobError::Token { token: word(tokens.structs, at).unwrap_or(0), at };
        match token {
            Token::BeginNode(name) => {
                if depth == 0 && at != 0 {
                    return Err(outside);
                }
                if depth == MAX_DEPTH {
                    return Err(BlobError::Depth(at));
                }
                let good = name.iter().all(|&b| b.is_ascii_graphic() && b != b'/');
                if !good || name.is_empty() != (depth == 0) || name.len() > 63 {
                    return Err(BlobError::NodeName(at.saturating_add(4)));
                }
                depth = depth.saturating_add(1);
                properties = true;
            }
            Token::EndNode => {
                depth = depth.checked_sub(1).ok_or(outside)?;
                properties = false;
            }
            Token::Property => {
                if !properties {
                    return Err(outside);
                }
            }
            Token::End => {
                let alone = depth == 0 && at != 0 && tokens.at == tokens.structs.len();
                return if alone { Ok(()) } else { Err(outside) };
            }
        }
    }
}

/// What the structure block consists of.
enum Token<'a> {
    /// A node begins, with its name.
    BeginNode(&'a [u8]),
    /// The last node that began ends.
    EndNode,
    /// A property.
    Property,
    /// The block ends.
    End,
}

/// Reads a structure block, token by token.
struct Tokens<'a> {
    structs: &'a [u8],
    strings: &'a [u8],
    /// Offset of the next token in the structure block.
    at: usize,
}

impl<'a> Tokens<'a> {
    #[inline(never)]
    fn next(&mut self) -> Result<Token<'a>, BlobError> {
        let at = self.at;
        let token = word(self.structs, at).ok_or(BlobError::Truncated(at))?;
        self.at = at.saturating_add(4);
        match token {
            BEGIN_NODE => self.node_name().map(Token::BeginNode),
            END_NODE => Ok(Token::EndNode),
            PROP => self.property(),
            END => Ok(Token::End),
            // NOP (4) among them.
            _ => Err(BlobError::Token { token, at }),
        }
    }

    fn node_name(&mut self) -> Result<&'a [u8], BlobError> {
        let at = self.at;
        let name = until_nul(self.structs, at).ok_or(BlobError::Truncated(at))?;
        self.skip(name.len().saturating_add(1))?;
        Ok(name)
    }

    fn property(&mut self) -> Result<Token<'a>, BlobError> {
        let cut = BlobError::Truncated(self.at);
        let length = offset(self.structs, self.at).ok_or(cut)?;
        let name = offset(self.structs, self.at.saturating_add(4)).ok_or(cut)?;
        // The strings block ends with a NUL, so every offset inside it begins a terminated name.
        if self.strings.get(name).is_none_or(|&b| b == 0) {
            return Err(BlobError::PropertyName(self.at));
        }
        self.at = self.at.saturating_add(8);
        self.skip(length)?;
        Ok(Token::Property)
    }

    /// Passes bytes and what pads them to a multiple of 4.
    fn skip(&mut self, length: usize) -> Result<(), BlobError> {
        let rest = self.structs.get(self.at..).unwrap_or_default();
        let padded = length.checked_next_multiple_of(4).filter(|&n| n <= rest.len());
        let padded = padded.ok_or(BlobError::Truncated(self.at))?;
        self.at = self.at.saturating_add(padded);
        Ok(())
    }
}

/// Returns the bytes at an offset up to the next NUL.
fn until_nul(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    rest.get(..rest.iter().position(|&b| b == 0)?)
}
