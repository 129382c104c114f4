// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flattened device trees (Devicetree specification v0.4, chapter 5): a strict check, then reading by the same walk.
//!
//! The `fdt` crate judges the magic, and whether the total size is there. It panics on a tree that is malformed, so the
//! structure must be walked here anyway; reading by that walk leaves no second reader that could disagree with the
//! check. [`CheckedBlob::check`] is the only way to a [`Tree`]. It is narrower than the specification: no NOP tokens,
//! ASCII names, bounded depth.

use core::fmt;

use fdt::{Fdt, FdtError};

use super::node::word;

/// Largest blob that is read, in bytes.
pub(crate) const MAX_BLOB_SIZE: usize = 64 * 1024;
/// Deepest nesting of nodes, the root being 1: more than any manifest has.
const MAX_DEPTH: usize = 8;
/// Bytes of a version 17 header.
const HEADER_SIZE: usize = 40;
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
        let (text, number) = match *self {
            Self::Short { bytes } => return write!(f, "{bytes} bytes, expected at least the 40 of a header"),
            Self::Magic(m) => ("expected 0xd00dfeed at the beginning, not", m as usize),
            Self::Version(v) => ("expected version 0x11, not", v as usize),
            Self::TotalSize { total, limit } => {
                return write!(f, "total size {total:#x}, expected 0x28 to {limit:#x}");
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

/// A device tree whose structure has been checked: reading it cannot fail.
#[derive(Clone, Copy)]
pub struct CheckedBlob<'a> {
    root: Tree<'a>,
    size: usize,
}

impl fmt::Debug for CheckedBlob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedBlob").field("total", &self.size).finish_non_exhaustive()
    }
}

impl<'a> CheckedBlob<'a> {
    /// Checks a slice that begins with a device tree; what follows its total size is ignored.
    pub fn check(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let (size, blob) = header(bytes)?;
        let mut root = blocks(blob.ok_or(BlobError::TotalSize { total: size, limit: bytes.len() })?)?;
        check_strings(root.strings)?;
        check_structs(root)?;
        // The first token begins the root.
        root.step();
        Ok(Self { root: Tree(root), size })
    }

    /// Returns the blob's size in bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Returns the root node; its name is empty.
    pub const fn root(&self) -> Tree<'a> {
        self.root
    }
}

/// A node of a [`CheckedBlob`].
#[derive(Clone, Copy)]
pub struct Tree<'a>(Walk<'a>);

impl<'a> Tree<'a> {
    /// Returns its name; the root's is empty.
    pub fn name(&self) -> &'a str {
        text(self.0.name)
    }

    /// Tells whether it has this name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.0.name == name.as_bytes()
    }

    /// Returns the names, in ASCII, and the values of its properties.
    pub const fn properties(&self) -> Properties<'a> {
        Properties(self.0)
    }

    /// Becomes the first node inside it, and then the node beside that one, and so on; `depth`, at first 0, is how deep
    /// inside the tree that it was the walk is. `None` at the end.
    pub(super) fn go_to_next(&mut self, depth: &mut usize) -> Option<()> {
        loop {
            match self.0.step()? {
                BEGIN_NODE => {
                    *depth += 1;
                    if *depth == 1 {
                        return Some(());
                    }
                }
                // At last the tree's own.
                END_NODE => *depth = depth.checked_sub(1)?,
                // A property.
                _ => (),
            }
        }
    }

    /// Returns the nodes inside it.
    pub const fn children(&self) -> Children<'a> {
        Children { tree: *self, depth: 0 }
    }
}

/// Walks the properties of a [`Tree`]. Behind the last there is nothing to ask for: the walk would go on into a node.
pub struct Properties<'a>(Walk<'a>);

impl<'a> Iterator for Properties<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // They come before nodes.
        (self.0.step()? == PROP).then(|| (until(self.0.name, 0), self.0.value))
    }
}

/// Walks the nodes inside a [`Tree`]. Behind the last there is nothing to ask for: the walk would go on behind the tree.
pub struct Children<'a> {
    tree: Tree<'a>,
    depth: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Tree<'a>;

    fn next(&mut self) -> Option<Tree<'a>> {
        self.tree.go_to_next(&mut self.depth)?;
        Some(self.tree)
    }
}

/// Checks magic and total size; returns the latter, and as many bytes if the slice has them.
fn header(bytes: &[u8]) -> Result<(usize, Option<&[u8]>), BlobError> {
    if bytes.len() < HEADER_SIZE {
        return Err(BlobError::Short { bytes: bytes.len() });
    }
    let fdt = Fdt::new(bytes);
    if matches!(fdt, Err(FdtError::BadMagic)) {
        return Err(BlobError::Magic(word(bytes, 0)));
    }
    let total = word(bytes, 1) as usize;
    if !(HEADER_SIZE..=MAX_BLOB_SIZE).contains(&total) {
        return Err(BlobError::TotalSize { total, limit: MAX_BLOB_SIZE });
    }
    Ok((total, fdt.ok().and_then(|_| bytes.get(..total))))
}

/// Checks where the header of a blob of the right size says that its blocks are; returns a walk of the structure block.
fn blocks(blob: &[u8]) -> Result<Walk<'_>, BlobError> {
    let words = blob.as_chunks::<4>().0;
    let [_, _, structs_at, strings_at, reservations, version, compatible, _, strings_size, structs_size, ..] = words
    else {
        return Err(BlobError::Short { bytes: blob.len() });
    };
    let at = |word: &[u8; 4]| u32::from_be_bytes(*word) as usize;
    let (structs_at, structs_size) = (at(structs_at), at(structs_size));
    let (strings_at, strings_size, reservations) = (at(strings_at), at(strings_size), at(reservations));
    let (version, compatible) = (u32::from_be_bytes(*version), u32::from_be_bytes(*compatible));
    if version < VERSION || compatible > VERSION {
        return Err(BlobError::Version(version));
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
    Ok(Walk { rest: structs, strings, name: &[], value: &[] })
}

fn check_strings(strings: &[u8]) -> Result<(), BlobError> {
    let ([] | [.., 0]) = strings else {
        return Err(BlobError::StringsEnd);
    };
    if strings.iter().any(|&b| b != 0 && !b.is_ascii_graphic()) {
        return Err(BlobError::StringsText);
    }
    Ok(())
}

/// Checks each token, and their order: one root without a name, in each node first properties, then nodes, at the end
/// END alone.
#[inline(never)]
fn check_structs(mut walk: Walk<'_>) -> Result<(), BlobError> {
    let size = walk.rest.len();
    let mut depth = 0;
    // Whether a property may come next: not after a node has ended.
    let mut properties = false;
    loop {
        let at = size - walk.rest.len();
        let token = walk.step().ok_or(BlobError::Truncated(size - walk.rest.len()))?;
        let unexpected = Err(BlobError::Token { token, at });
        match token {
            BEGIN_NODE => {
                if depth == 0 && at != 0 {
                    return unexpected;
                }
                if depth == MAX_DEPTH {
                    return Err(BlobError::Depth(at));
                }
                let name = walk.name;
                let bad = name.iter().any(|&b| !b.is_ascii_graphic() || b == b'/');
                if bad || name.is_empty() != (depth == 0) || name.len() > 63 {
                    return Err(BlobError::NodeName(at + 4));
                }
                depth += 1;
                properties = true;
            }
            END_NODE if depth != 0 => {
                depth -= 1;
                properties = false;
            }
            PROP if properties => {
                if walk.name.first().is_none_or(|&b| b == 0) {
                    return Err(BlobError::PropertyName(at + 4));
                }
            }
            END if depth == 0 && at != 0 && walk.rest.is_empty() => return Ok(()),
            // NOP (4) among them.
            _ => return unexpected,
        }
    }
}

/// Walks a structure block, token by token.
#[derive(Clone, Copy)]
struct Walk<'a> {
    /// What comes next in the structure block, whole words.
    rest: &'a [u8],
    strings: &'a [u8],
    /// The name of the last node that began; or, if a property came later, the strings block from that one's name on,
    /// empty if it is outside.
    name: &'a [u8],
    /// The value of the last property.
    value: &'a [u8],
}

impl Walk<'_> {
    /// Takes the next token and what belongs to it; `None` where the block breaks off in that.
    #[inline(never)]
    fn step(&mut self) -> Option<u32> {
        let (token, rest) = split_word(self.rest)?;
        self.rest = rest;
        // Of what follows, without what pads it to a multiple of 4.
        let length = match token {
            BEGIN_NODE => {
                self.name = until(rest, 0);
                self.name.len() + 1
            }
            PROP => {
                let (length, rest) = split_word(rest)?;
                let (name, rest) = split_word(rest)?;
                self.rest = rest;
                self.name = self.strings.get(name as usize..).unwrap_or_default();
                length as usize
            }
            // No more than itself.
            _ => 0,
        };
        self.value = self.rest.get(..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..)?;
        Some(token)
    }
}

/// Splits off the first word.
fn split_word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*word), rest))
}

/// Returns the bytes before the first of a kind, or all.
#[inline(never)]
pub(super) fn until(bytes: &[u8], end: u8) -> &[u8] {
    for (n, &b) in bytes.iter().enumerate() {
        if b == end {
            return bytes.get(..n).unwrap_or_default();
        }
    }
    bytes
}

/// Returns the text that bytes hold, up to the first that is none in UTF-8.
#[inline(never)]
pub(crate) fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
